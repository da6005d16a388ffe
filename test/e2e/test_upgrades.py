"""A machine that follows a repository: apt upgrades what has changed, once, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from support.ctl_mesh import EXAMPLE, Account, CtlMesh, ExampleSource

LIBRARY, DEPENDANTS = "st-lib", ("st-one", "st-two", "st-three")
MANIFEST = "schema_version: 1.0\nname: {name}\ndistributions: [{{dist: bookworm, arch: x86_64}}]\n"
RULES = """\
#!/usr/bin/make -f
%:
	dh $@
override_dh_auto_install:
"""


def write_unit(source: ExampleSource, name: str, install: str, needs: str = "") -> None:
    """Writes a package for all architectures. `install`: a line of debian/rules."""
    directory = source.path / "projects/packages" / name
    control = f"""\
Source: {name}
Section: misc
Priority: optional
Maintainer: Tester <tester@example.org>
Build-Depends: debhelper-compat (= 13){needs}
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: {name}
Architecture: all
Depends: ${{misc:Depends}}
Description: a package with one file
"""
    entry = f"{name} (1.0) bookworm; urgency=medium\n\n  * A build.\n\n -- Tester <tester@example.org>"
    files = {
        ".cb/cloud_builder.yml": MANIFEST.format(name=name),
        ".cb/build_root.kiwi": (EXAMPLE / "packages/libgreet/.cb/build_root.kiwi").read_text(),
        "debian/changelog": f"{entry}  Mon, 06 Jan 2025 10:00:00 +0000\n",
        "debian/control": control,
        "debian/rules": f"{RULES}\t{install.replace('$P', f'debian/{name}/usr/share/{name}')}\n",
        "debian/source/format": "3.0 (native)\n",
        "text": "# a comment\nthe text\n",
    }
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    (directory / "debian/rules").chmod(0o755)


class Machine:
    """A machine that follows a repository, as far as apt can tell."""

    def __init__(self, path: Path, url: str, repository: str) -> None:
        for directory in ("etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d", "state/lists/partial", "cache"):
            (path / directory).mkdir(parents=True)
        source = urllib.request.urlopen(f"{url}/{repository}.sources").read()
        (path / f"etc/sources.list.d/{repository}.sources").write_bytes(source)
        self.path, self.index = path, f"{url}/dists/bookworm/main/binary-amd64/Packages"

    def install_all(self) -> None:
        """Writes the status of a machine on which every package of the repository is installed."""
        index = urllib.request.urlopen(self.index).read().decode()
        described = re.sub(r"^(Filename|Size|MD5sum|SHA1|SHA256): .*\n", "", index, flags=re.MULTILINE)
        status = re.sub(r"^(Package: .*\n)", r"\1Status: install ok installed\n", described, flags=re.MULTILINE)
        (self.path / "status").write_text(status + "\n")

    def upgrades(self) -> dict[str, str]:
        """Returns what dist-upgrade would install: name → version."""
        self._apt("-q", "update")
        return dict(re.findall(r"^Inst (\S+) .*?\((\S+) ", self._apt("-s", "dist-upgrade"), re.MULTILINE))

    def _apt(self, *words: str) -> str:
        options = {"Dir::Etc": "etc", "Dir::State": "state", "Dir::Cache": "cache", "Dir::State::status": "status"}
        settings = [f"{name}={self.path / value}" for name, value in options.items()]
        settings += ["APT::Architecture=amd64", "APT::Architectures=amd64", "APT::Sandbox::User=root"]
        command = ["apt-get", *(word for setting in settings for word in ("-o", setting)), *words]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        finished = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=self.path)
        return finished.stdout


@pytest.fixture
def mesh(own_home: Path, own_cache: Path):
    mesh = CtlMesh(own_home / "home", own_cache)
    yield mesh
    mesh.down()


def pushed(mesh: CtlMesh, source: ExampleSource, message: str) -> str:
    """Commits, and returns the output of the request that the push makes."""
    revision = source.commit(message)
    name = f"push-example-{revision[:10]}"
    mesh.until(lambda: [row for row in mesh.rows("requests") if row["request_id"] == name], "the push was not noticed")
    return mesh.ok("watch", name).out


def test_comment_upgrades_nothing_and_a_change_each_dependant_once(mesh: CtlMesh, own_home: Path) -> None:
    source = ExampleSource(own_home / "source", Account())
    write_unit(source, LIBRARY, "install -d $P; grep -v '^#' text > $P/text")
    for name in DEPENDANTS:
        write_unit(source, name, f"install -D -m 644 /usr/share/{LIBRARY}/text $P/text", f", {LIBRARY}")
    source.commit("a library and what contains it")
    mesh.up(example=source.path)
    units = [f"packages/{name}" for name in (LIBRARY, *DEPENDANTS)]
    assert mesh.request(*units)["request"]["outcome"] == "success", mesh.logs()
    [repository] = mesh.rows("repositories")
    machine = Machine(own_home / "machine", repository["url"], repository["repository"])
    machine.install_all()
    assert machine.upgrades() == {}

    source.edit(f"projects/packages/{LIBRARY}/text", lambda text: text.replace("a comment", "another comment"))
    assert "3 unchanged" in pushed(mesh, source, "a comment")
    assert machine.upgrades() == {}

    source.edit(f"projects/packages/{LIBRARY}/text", lambda text: text.replace("the text", "another text"))
    shown = pushed(mesh, source, "a change")
    names = (LIBRARY, *DEPENDANTS)
    assert machine.upgrades() == dict.fromkeys(names, "1.0+cb1"), shown
    assert all(f"packages/{name} 1.0 → 1.0+cb1\n" in shown for name in names), shown
    machine.install_all()
    assert machine.upgrades() == {}
