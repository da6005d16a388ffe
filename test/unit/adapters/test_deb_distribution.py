"""Packages that the distribution has in an equal or a higher version, by the package lists of a build root."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.deb.distribution import LISTS, marked
from cloud_builder.model.artifact import ArtifactKind, BinaryPackage
from cloud_builder.ports.recipe import Output

MAIN = """\
Package: first
Version: 1.0-1
Description: the name of another package is in its text
Provides: hello

Package: hello
Architecture: amd64
Version: 2.10-3

Package: hello-doc
Version: 9
"""
SECURITY = "Package: hello\nSource: hello\nVersion: 2.10-3+deb12u1\n"


def output(name: str, version: str, **fields) -> Output:  # type: ignore[no-untyped-def]
    package = BinaryPackage(name=name, version=version, architecture="all", **fields)
    return Output(Path(f"{name}.deb"), ArtifactKind.DEB, package)


@pytest.fixture
def build_root(tmp_path: Path) -> Path:
    lists = tmp_path / LISTS
    lists.mkdir(parents=True)
    (lists / "d_main_binary-amd64_Packages").write_text(MAIN)
    (lists / "d_security_binary-amd64_Packages").write_text(SECURITY)
    (lists / "d_empty_binary-amd64_Packages").write_text("")
    (lists / "d_InRelease").write_text("no packages")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("hello", "2.10-3", "2.10-3+deb12u1"),
        ("hello", "2.10-3+deb12u1", "2.10-3+deb12u1"),
        ("hello", "2.10-3+deb12u1+b1", ""),
        ("first", "1.0-1", "1.0-1"),
        ("hello-doc", "1:1", ""),
        ("hello-doc", "8", "9"),
        ("other", "1", ""),
    ],
)
def test_equal_or_higher_version_of_the_distribution_is_found(
    build_root: Path, name: str, version: str, found: str
) -> None:
    other = Output(Path("x.changes"), ArtifactKind.CHANGES)
    changed, unchanged = marked([output(name, version), other], build_root)
    assert changed.package is not None
    assert (changed.package.in_distribution, unchanged) == (found, other)


def test_root_without_lists_marks_nothing(tmp_path: Path) -> None:
    outputs = (output("hello", "1"), output("hello-dbgsym", "1", debug_symbols=True))
    assert marked(outputs, tmp_path) == outputs
