"""apt's configuration for `cb-ctl try`: a source with its key, a pin, no proxy for a repository on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.deb.install_test import install_command
from cloud_builder.planning.publish.apt_index import sources


def test_repository_is_preferred_and_its_signature_is_checked(tmp_path: Path) -> None:
    source = sources("http://127.0.0.1:8480/repositories/example-bookworm", "bookworm", "KEY")
    install_command("example-bookworm", source, ["hello"], ["hello"], tmp_path)
    assert (tmp_path / "repository.sources").read_text() == source.replace(": main\n", ": main debug\n") != source
    assert "release l=example-bookworm" in (tmp_path / "pin").read_text()
    written = "".join(file.read_text() for file in tmp_path.iterdir()).lower()
    assert "trusted" not in written and "allow-unauthenticated" not in written


@pytest.mark.parametrize(
    ("url", "direct"),
    [("http://127.0.0.1:8480/r", True), ("http://localhost/r", True), ("https://packages.example.org/r", False)],
)
def test_proxy_is_bypassed_for_a_repository_on_this_machine(url: str, direct: bool, tmp_path: Path) -> None:
    install_command("r", sources(url, "bookworm", "KEY"), ["hello"], ["hello"], tmp_path)
    assert ("DIRECT" in (tmp_path / "apt.conf").read_text()) == direct


def test_command_and_packages_are_not_read_by_a_shell(tmp_path: Path) -> None:
    action = install_command(
        "r", sources("http://h/r", "bookworm", "KEY"), ["hello", "world"], ["sh", "-c", "a; b"], tmp_path
    )
    assert action.command[-3:] == ("sh", "-c", "a; b")
    assert (tmp_path / "packages").read_text().split() == ["hello", "world"]


def test_command_runs_as_root_with_network_and_read_only_binds(tmp_path: Path) -> None:
    action = install_command("r", sources("http://h/r", "bookworm", "KEY"), ["hello"], [], tmp_path)
    assert (action.uid, action.network) == (0, True)
    assert all(not bind.writable for bind in action.binds)
