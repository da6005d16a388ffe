"""Programs and directories that are replaced for KIWI."""

from __future__ import annotations

import subprocess

from cloud_builder.adapters.kiwi import userns_shims


def test_copy_of_the_dpkg_database_has_no_installation_in_progress(tmp_path):
    database = tmp_path / "machine/var/lib/dpkg"
    (database / "updates").mkdir(parents=True)
    for name in ("status", "status-new", "updates/0001"):
        (database / name).write_text("Package: git\n")
    binds = userns_shims.install(tmp_path / "work", {}, tmp_path / "machine")
    [copy] = [bind.source for bind in binds if bind.target == "/var/lib/dpkg"]
    assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == ["status", "updates"]


def test_apt_in_the_root_has_the_options_and_other_programs_have_not(tmp_path):
    binds = userns_shims.install(tmp_path, {"APT::Update::Error-Mode": "any"})
    (shim,) = [bind.source for bind in binds if bind.source.name == "chroot"]
    real = shim.with_name("chroot.real")
    real.unlink()
    real.write_text('#!/bin/sh\necho "$@"\n')
    real.chmod(0o755)

    def called(*arguments: str) -> str:
        return subprocess.run([shim, *arguments], check=True, capture_output=True, text=True).stdout

    apt = called("/root", "apt-get", "-q", "update")
    assert apt.startswith("/root apt-get -o APT::Update::Error-Mode=any")
    assert apt.endswith(" -q update\n")
    assert called("/root", "dpkg", "-l") == "/root dpkg -l\n"


def test_configuration_of_apt_is_a_copy_with_the_options(tmp_path):
    binds = userns_shims.install(tmp_path, {"Acquire::AllowInsecureRepositories": "false"})
    (apt,) = [bind for bind in binds if bind.target == "/etc/apt"]
    assert apt.writable
    assert (apt.source / "keyrings").is_dir()
    written = (apt.source / "apt.conf.d" / "zz-cloud-builder").read_text()
    assert 'Acquire::AllowInsecureRepositories "false";' in written
