"""Build-dependency layers of Debian packages: their workspace, and the error when apt cannot install them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloud_builder.adapters.deb import build_commands
from cloud_builder.adapters.deb.build_deps import explain, install
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.ports.recipe import PackageSource

SOURCE = PackageSource(
    name="greet",
    version="1.2-1",
    directory=Path("/unit"),
    form="orig",
    build_depends=(("Build-Depends", "libgreet-dev (>= 1.0)"), ("Build-Conflicts", "autoconf2.13")),
)
UNMET = """\
Reading package lists...
Some packages could not be installed. This may mean that you have
The following packages have unmet dependencies:
 builddeps:/layer/source : Depends: libgreet-dev (>= 1.0) but it is not installable
                           Depends: libm17n-dev (>= 99) but 1.8.0 is to be installed
 other : Depends: something but it is not installable
E: Unable to correct problems, you have held broken packages.
"""


def test_layer_workspace_has_only_the_relations_of_the_source(tmp_path: Path) -> None:
    action = install(SOURCE, [], tmp_path / "workspace", tmp_path / "cache")
    assert (tmp_path / "workspace" / "package-names").read_text() == "autoconf2.13 libgreet-dev"
    control = (tmp_path / "workspace" / "source" / "debian" / "control").read_text()
    assert control == (
        "Source: greet\n"
        "Build-Depends: libgreet-dev (>= 1.0), build-essential, dpkg-dev, fakeroot\n"
        "Build-Conflicts: autoconf2.13\n"
    )
    assert (action.uid, action.network) == (0, True)
    assert [bind.target for bind in action.binds if bind.writable] == ["/var/cache/apt/archives"]


def test_missing_build_dependency_is_a_failure_that_names_it() -> None:
    error = explain(SOURCE, UNMET.splitlines())
    assert isinstance(error, Permanent)
    assert error.code == "build-dependency"
    assert error.message == (
        "Build-Depends: libgreet-dev (>= 1.0) cannot be satisfied: neither the repositories of the build root "
        "nor the mesh have such a package; "
        "Build-Depends: libm17n-dev (>= 99) cannot be satisfied: there is libm17n-dev 1.8.0"
    )
    assert "debian/control" in error.hint


@pytest.mark.parametrize(
    ("relation", "candidate", "explanation"),
    [
        ("libgreet-dev (>= 7) but it is not going to be installed", "1.0.0", "there is libgreet-dev 1.0.0"),
        ("libgreet-dev (>= 7)", "1.0.0", "there is libgreet-dev 1.0.0"),
        ("libgreet-dev", "(none)", "neither the repositories of the build root nor the mesh have such a package"),
        ("libgreet-dev but it is not going to be installed", "1.0.0", "apt says: it is not going to be installed"),
    ],
)
def test_unmet_relation_names_the_available_version(relation: str, candidate: str, explanation: str) -> None:
    lines = [
        f" builddeps:/layer/source : Depends: {relation}",
        "make:",
        "  Installed: 4.3-4.1",
        "  Candidate: 4.3-4.1",
        "libgreet-dev:",
        "  Installed: (none)",
        f"  Candidate: {candidate}",
    ]
    assert explain(SOURCE, lines).message.endswith(explanation)


def test_relations_missing_for_the_same_reason_share_a_sentence() -> None:
    lines = [
        " builddeps:/layer/source : Depends: liba-dev but it is not installable",
        "                            Depends: libb-dev (>= 3) but it is not installable",
    ]
    assert explain(SOURCE, lines).message == (
        "Build-Depends: liba-dev, libb-dev (>= 3) cannot be satisfied: "
        "neither the repositories of the build root nor the mesh have such a package"
    )


DEEP = """\
The following packages have unmet dependencies:
 builddeps:/layer/source : Depends: deep (>= 1) but it is not going to be installed
                           Depends: other-dev but it is not going to be installed
E: Unable to correct problems, you have held broken packages.
The following packages have unmet dependencies:
 deep : Depends: deeper but it is not going to be installed
        Depends: libc6 (>= 99) but 2.36-9 is to be installed
E: Unable to correct problems, you have held broken packages.
The following packages have unmet dependencies:
 other-dev : Conflicts: deep
The following packages have unmet dependencies:
 deeper:amd64 : PreDepends: deep but it is not going to be installed
                Depends: does-not-exist (>= 3) but it is not installable
"""


def test_unmet_relation_of_a_package_names_whose_dependency_it_is() -> None:
    assert explain(SOURCE, DEEP.splitlines()).message == (
        "Build-Depends: deep (>= 1) cannot be satisfied: deep depends on libc6 (>= 99), and there is libc6 2.36-9;"
        " deeper depends on does-not-exist (>= 3), which is nowhere;"
        " Build-Depends: other-dev cannot be satisfied: other-dev conflicts with deep"
    )


def test_unmet_relation_is_named_when_apt_blames_only_the_package() -> None:
    lines = ["The following packages have unmet dependencies:", " lib : Depends: gone (>= 3) but it is not installable"]
    assert explain(SOURCE, lines).message == (
        "the build dependencies cannot be installed: lib depends on gone (>= 3), which is nowhere"
    )


@pytest.mark.parametrize(
    "line",
    [
        "E: Failed to fetch http://deb.debian.org/pool/a.deb  404  Not Found",
        "Err:1 http://deb.debian.org bookworm InRelease Could not resolve 'deb.debian.org'",
        "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
        "dpkg: error processing archive a.deb: No space left on device",
    ],
)
def test_mirror_or_machine_in_error_is_retryable(line: str) -> None:
    error = explain(SOURCE, ["Reading package lists...", line])
    assert isinstance(error, Retryable)
    assert line in error.message


def test_failing_maintainer_script_is_a_failure_that_quotes_dpkg() -> None:
    line = "dpkg: error processing package libgreet1 (--configure):"
    error = explain(SOURCE, ["Setting up libgreet1", line, "E: Sub-process /usr/bin/dpkg returned an error code (1)"])
    assert isinstance(error, Permanent)
    assert line in error.message


def test_build_profiles_reach_apt_and_dpkg_also_as_build_options(tmp_path: Path) -> None:
    source = replace(SOURCE, profiles=("nocheck", "stage1"))
    action = install(source, [], tmp_path / "workspace", tmp_path / "cache")
    assert action.environment["DEB_BUILD_PROFILES"] == "nocheck stage1"
    built = build_commands.build(source, 4).environment
    assert (built["DEB_BUILD_PROFILES"], built["DEB_BUILD_OPTIONS"]) == ("nocheck stage1", "parallel=4 nocheck")
    assert "DEB_BUILD_PROFILES" not in build_commands.build(SOURCE, 4).environment


def test_build_options_of_the_source_are_added_and_may_set_parallel() -> None:
    source = replace(SOURCE, profiles=("nocheck",), build_options=("nocheck", "noopt", "parallel=1"))
    built = build_commands.build(source, 4).environment
    assert built["DEB_BUILD_OPTIONS"] == "nocheck noopt parallel=1"
    source = replace(source, build_options=("noopt",))
    assert build_commands.build(source, 4).environment["DEB_BUILD_OPTIONS"] == "parallel=4 noopt nocheck"
