"""Build dependencies and the packages of the mesh: those without them, and those that provide a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.deb.relations import package_names, with_providers, without_local_packages
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.ids import Digest
from cloud_builder.ports.recipe import PackageSource


def source(*fields: tuple[str, str]) -> PackageSource:
    return PackageSource("greet", "1.2", Path("/unit"), "tree", build_depends=fields)


def artifact(name: str, provides: str = "") -> Artifact:
    package = BinaryPackage(name=name, version="1", architecture="all", provides=provides)
    return Artifact(name=f"{name}.deb", sha256=Digest("a" * 64), size=1, kind=ArtifactKind.DEB, package=package)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("debhelper-compat (= 13), libgreet-dev (>= 1.0)", "debhelper-compat (= 13)"),
        ("libgreet-dev", None),
        ("libgreet-dev:native [amd64] <!nocheck>, make", "make"),
        ("other | libgreet-dev (= 1), libother-dev | libthird-dev", "libother-dev | libthird-dev"),
        ("greeting-dev, libgreet-dev-extra", "libgreet-dev-extra"),
    ],
)
def test_relations_that_local_packages_provide_are_removed(value: str, kept: str | None) -> None:
    artifacts = [artifact("libgreet-dev", provides="greeting-dev (= 1), greetings"), artifact("libgreet1")]
    expected = (("Build-Depends", kept),) if kept else ()
    assert without_local_packages(source(("Build-Depends", value)), artifacts).build_depends == expected


@pytest.mark.parametrize(
    ("value", "added"),
    [
        ("libfoo-dev", ["libnew-dev"]),
        ("make, libfoo-dev (>= 1) [amd64] <!nocheck>", ["libnew-dev [amd64] <!nocheck>"]),
        ("libfoo-dev:native | other <!x>", ["libnew-dev"]),
        ("other | libfoo-dev", []),
        ("libnew-dev, api", []),
        ("", []),
    ],
)
def test_package_that_provides_a_name_is_installed_with_it(value: str, added: list[str]) -> None:
    offered = [
        artifact("libnew-dev", provides="libfoo-dev (= 2)"),
        artifact("api"),
        artifact("other-api", provides="api"),
    ]
    packages = [each.package for each in offered if each.package]
    assert with_providers(value, packages) == ", ".join(filter(None, [value, *added]))


def test_build_conflicts_are_removed() -> None:
    fields = (("Build-Depends-Indep", "aa, bb"), ("Build-Conflicts", "cc"))
    assert without_local_packages(source(*fields), []).build_depends == fields[:1]


def test_package_names_lists_each_name_once() -> None:
    fields = (("Build-Depends", "bb (>= 1) | aa:any, cc [amd64] <!x>"), ("Build-Conflicts", "aa"))
    assert package_names(source(*fields)) == ["aa", "bb", "cc"]
