"""Installs what a build made, for the tests of a manifest: the chosen packages, and why they cannot be installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.deb.package_test import command, explain, packages_to_test
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.model.artifact import ArtifactKind, BinaryPackage
from cloud_builder.ports.recipe import Output, PackageSource

SOURCE = PackageSource("hello", "1.0-1", Path("/unit"), "tree")


def output(name: str, kind: ArtifactKind = ArtifactKind.DEB) -> Output:
    package = BinaryPackage(name=name, version="1.0-1", architecture="all") if kind is ArtifactKind.DEB else None
    return Output(Path(name), kind, package)


OUTPUTS = (output("hello"), output("hello-dbgsym"), output("hello-light"), output("x", ArtifactKind.CHANGES))


def test_all_packages_without_debug_symbols_are_installed() -> None:
    assert packages_to_test(SOURCE, OUTPUTS, ()) == (OUTPUTS[0], OUTPUTS[2])


def test_named_packages_are_installed_also_debug_symbols() -> None:
    assert packages_to_test(SOURCE, OUTPUTS, ("hello", "hello-dbgsym")) == OUTPUTS[:2]


def test_unknown_package_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(Permanent, match="helo, which the build did not make") as caught:
        packages_to_test(SOURCE, OUTPUTS, ("helo",))
    assert (caught.value.code, caught.value.hint) == ("test-install", "Did you mean hello?")


def test_command_runs_as_root_without_network_in_the_source() -> None:
    action = command(SOURCE, "a; b")
    assert action.command == ("sh", "-ec", "a; b")
    assert (action.uid, action.network, action.directory) == (0, False, "/source")
    assert all(not bind.writable for bind in action.binds)


def test_missing_dependency_is_a_failure_that_names_it() -> None:
    output = [
        "Building dependency tree...",
        "The following packages have unmet dependencies:",
        " hello : Depends: hello-data (>= 1) but it is not installable",
        "E: Unable to correct problems, you have held broken packages.",
    ]
    error = explain(SOURCE, output)
    assert isinstance(error, Permanent)
    assert error.message.endswith("test: hello : Depends: hello-data (>= 1) but it is not installable")
    assert "Build-Depends" in error.hint


def test_failing_maintainer_script_is_no_fault_of_the_mirror() -> None:
    failed = explain(SOURCE, ["dpkg: error processing package hello (--configure):", "E: Sub-process failed"])
    assert isinstance(failed, Permanent)
    assert "error processing package hello" in failed.message
    assert isinstance(explain(SOURCE, ["E: Failed to fetch http://x/y.deb  404"]), Retryable)
