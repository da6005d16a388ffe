"""Outputs collected from a build's directory, in which the build may have written arbitrary files."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from cloud_builder.adapters.deb.outputs import collect
from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.ports.recipe import PackageSource

SOURCE = PackageSource("hello", "1.0", Path("/unit"), "tree")
DEB = "hello_1.0_all.deb"


@pytest.fixture(scope="module")
def deb(tmp_path_factory) -> bytes:
    tree = tmp_path_factory.mktemp("deb") / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = "Package: hello\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@b>\nDescription: test\nDepends: sh\n"
    (tree / "DEBIAN" / "control").write_text(fields)
    subprocess.run(["dpkg-deb", "--build", tree, tree.parent / DEB], check=True, capture_output=True)
    return (tree.parent / DEB).read_bytes()


@pytest.fixture
def root(tmp_path: Path, deb: bytes) -> Path:
    build = tmp_path / "build"
    build.mkdir()
    (build / DEB).write_bytes(deb)
    (build / "hello_1.0_amd64.buildinfo").write_text("Format: 1.0\n")
    changes(build, DEB, "hello_1.0_amd64.buildinfo")
    (build / "hello_1.0.tar.xz").write_text("a source")
    dsc(build, "hello_1.0.dsc", "hello_1.0.tar.xz")
    return tmp_path


def dsc(build: Path, name: str, *files: str) -> None:
    listed = "".join(f" {checksum(build / file)} 1 {file}\n" for file in files)
    (build / name).write_text(f"Format: 3.0\nSource: hello\nVersion: 1.0\nChecksums-Sha256:\n{listed}")


def changes(build: Path, *names: str, file: str = "hello_1.0_amd64.changes") -> None:
    listed = "".join(f" {checksum(build / name)} 1 {name}\n" for name in names)
    (build / file).write_text(f"Format: 1.8\nSource: hello\nChecksums-Sha256:\n{listed}")


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()


def test_outputs_are_the_changes_file_and_its_listed_files(root: Path) -> None:
    outputs = collect(SOURCE, root)
    assert [(output.path.name, output.kind) for output in outputs] == [
        ("hello_1.0_amd64.changes", ArtifactKind.CHANGES),
        (DEB, ArtifactKind.DEB),
        ("hello_1.0_amd64.buildinfo", ArtifactKind.BUILDINFO),
        ("hello_1.0.dsc", ArtifactKind.DSC),
        ("hello_1.0.tar.xz", ArtifactKind.SOURCE),
    ]
    package = outputs[1].package
    assert package is not None
    assert (package.name, package.version, package.depends) == ("hello", "1.0", "sh")


def test_package_for_the_installer_alone_is_an_output(root: Path) -> None:
    (root / "build" / DEB).rename(root / "build/hello-udeb_1.0_all.udeb")
    changes(root / "build", "hello-udeb_1.0_all.udeb")
    outputs = collect(SOURCE, root)
    assert [(output.kind, output.package) for output in outputs[1:2]] == [(ArtifactKind.UDEB, None)]


def test_files_of_the_unit_are_taken_from_the_unit(root: Path, tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.mkdir()
    (unit / "tarball").write_text("pristine")
    (unit / "hello_1.0.orig.tar.gz").symlink_to("tarball")
    dsc(unit, "hello_1.0-1.dsc", "hello_1.0.orig.tar.gz")
    files = ("hello_1.0-1.dsc", "hello_1.0.orig.tar.gz")
    outputs = collect(PackageSource("hello", "1.0-1", unit, "dsc", files), root)
    assert [output.path for output in outputs[-2:]] == [unit / name for name in files]
    dsc(root / "build", "hello_1.0-1.dsc", DEB)
    (root / "build/hello_1.0.orig.tar.gz").write_text("not pristine")
    dsc(root / "build", "hello_1.0-1.dsc", "hello_1.0.orig.tar.gz")
    outputs = collect(PackageSource("hello", "1.0-1", unit, "orig", files[1:]), root)
    assert [output.path.parent.name for output in outputs[-2:]] == ["build", "unit"]


def symlink_as_deb(build: Path) -> None:
    (build / DEB).unlink()
    (build / DEB).symlink_to("/etc/passwd")


def linked_directory(build: Path) -> None:
    build.rename(build.parent / "elsewhere")
    build.symlink_to(build.parent / "elsewhere")


def path_outside(build: Path) -> None:
    changes(build, "../../etc/passwd")


def changed_afterwards(build: Path) -> None:
    (build / "hello_1.0_amd64.buildinfo").write_text("Format: 1.0\nBuild-Origin: Elsewhere\n")


def truncated_line(build: Path) -> None:
    (build / "hello_1.0_amd64.changes").write_text("Checksums-Sha256:\n 0\n")


def source_changed_afterwards(build: Path) -> None:
    (build / "hello_1.0.tar.xz").write_text("another source")


def source_removed(build: Path) -> None:
    (build / "hello_1.0.dsc").unlink()


def no_deb(build: Path) -> None:
    changes(build, "hello_1.0_amd64.buildinfo")


def two_changes(build: Path) -> None:
    changes(build, DEB, file="other.changes")


def no_changes(build: Path) -> None:
    (build / "hello_1.0_amd64.changes").unlink()


def pipe(build: Path) -> None:
    import os

    (build / DEB).unlink()
    os.mkfifo(build / DEB)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (symlink_as_deb, "deb is not a regular file"),
        (linked_directory, "removed its own directory"),
        (path_outside, "is not a valid name for an artifact"),
        (no_deb, "made no .deb and no .udeb"),
        (two_changes, "left 2 .changes files"),
        (no_changes, "left 0 .changes files"),
        (pipe, "deb is not a regular file"),
        (changed_afterwards, "buildinfo does not match its checksum in the .changes"),
        (truncated_line, "cannot be read"),
        (source_changed_afterwards, r"tar.xz does not match its checksum in hello_1.0.dsc"),
        (source_removed, "hello_1.0.dsc is not a regular file"),
    ],
)
def test_invalid_build_directory_is_an_outputs_error(root: Path, damage, message: str) -> None:
    damage(root / "build")
    with pytest.raises(Permanent, match=message) as error:
        collect(SOURCE, root)
    assert error.value.code == "outputs"
