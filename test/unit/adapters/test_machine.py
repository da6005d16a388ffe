"""Probes of the machine, against files and directories made for them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cloud_builder.adapters.machine import host
from cloud_builder.adapters.machine.key import key
from cloud_builder.adapters.sandbox.cgroups import Cgroups
from cloud_builder.adapters.signing.gnupg import GnupgSigner

NAME = "Tester"


@pytest.fixture(scope="module")
def key_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("key") / "gnupg"
    GnupgSigner(home, NAME).close()
    return home


def test_generated_key_is_private_and_never_expires(key_home):
    found = key(key_home, NAME)
    assert found is not None
    assert (found.open_files, found.foreign, found.expires, found.error) == ((), False, 0.0, "")


def test_key_that_others_may_read_is_reported(key_home):
    [secret] = (key_home / "private-keys-v1.d").glob("*.key")
    secret.chmod(0o644)
    found = key(key_home, NAME)
    secret.chmod(0o600)
    assert found is not None
    assert found.open_files == (str(secret),)


def test_key_of_another_name_is_an_error_and_a_missing_key_is_none(key_home, tmp_path):
    assert getattr(key(key_home, "Somebody"), "error", "")
    assert key(tmp_path, NAME) is None


def test_missing_directory_is_probed_at_its_nearest_parent(tmp_path):
    probed = host.probe_directory("home", tmp_path / "not" / "yet", "home")
    assert (probed.path, probed.writable) == (str(tmp_path), True)
    assert probed.free > 0
    assert probed.file_system


def test_file_system_is_that_of_the_nearest_mount():
    assert host.probe_directory("home", Path("/proc/self"), "home").file_system == "proc"


def test_port_in_use_is_an_error():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port_error = host.port("127.0.0.1", listener.getsockname()[1])
    assert port_error is not None
    assert "in use" in port_error.message


def test_missing_program_is_listed_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {("dpkg-deb", "dpkg", True), ("jing", "jing", False)} <= set(host.missing_programs())


def test_missing_keys_of_debian_are_listed_with_their_package(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "DEBIAN", str(tmp_path / "keys.gpg"))
    assert (str(tmp_path / "keys.gpg"), "debian-archive-keyring", False) in host.missing_programs()


def test_sandbox_probe_leaves_nothing_behind(tmp_path):
    assert host.try_sandbox(tmp_path / "work") is None
    assert list(tmp_path.iterdir()) == []


def test_delegated_controllers_are_those_of_the_group_of_a_runner(tmp_path):
    class Found(Cgroups):
        def base(self):
            return tmp_path

    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert host.delegated(Found()) == {"cpu", "memory", "pids"}


def test_group_that_cannot_be_divided_has_no_delegated_controllers(tmp_path):
    """Root may write to all files of the group; that alone does not make it delegated."""
    for name in ("controllers", "subtree_control", "procs"):
        (tmp_path / f"cgroup.{name}").write_text("cpu\n")
    (tmp_path / "own").write_text("0::/\n")
    assert host.delegated(Cgroups(tmp_path, tmp_path / "own")) == frozenset()
