"""Debian sources in their three forms, and the errors of directories that are none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cloud_builder.adapters.deb.build_commands import tree_of
from cloud_builder.adapters.deb.source import read_source
from cloud_builder.adapters.deb.source_form import without_epoch
from cloud_builder.errors import Permanent

CHANGELOG = "hello ({version}) bookworm; urgency=low\n\n  * Test.\n\n -- A <a@b>  Thu, 01 Oct 2026 08:00:00 +0000\n"
CONTROL = """\
# a comment
Source: hello
Build-Depends: debhelper-compat (= 13),
               libgreet-dev (>= 1.0),
Build-Depends-Indep: man-db

Package: hello
Architecture: any
"""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return write(tmp_path / "hello", "1.0")


def write(directory: Path, version: str) -> Path:
    (directory / "debian").mkdir(parents=True, exist_ok=True)
    (directory / "debian" / "control").write_text(CONTROL)
    (directory / "debian" / "changelog").write_text(CHANGELOG.format(version=version))
    source_format(directory, "3.0 (quilt)" if "-" in version else "3.0 (native)")
    return directory


def source_format(unit: Path, text: str) -> None:
    (unit / "debian" / "source").mkdir(exist_ok=True)
    (unit / "debian" / "source" / "format").write_text(text + "\n")


def dsc(directory: Path, sha256: str | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    tarball = directory / "hello_1.0.tar.xz"
    tarball.write_bytes(b"content")
    digest = sha256 or hashlib.sha256(b"content").hexdigest()
    text = "Format: 3.0 (native)\nSource: hello\nVersion: 1:1.0\nBuild-Depends: a,\n b (>= 2)\nChecksums-Sha256:\n"
    (directory / "hello_1.0.dsc").write_text(text + f" {digest} 7 hello_1.0.tar.xz\n")
    return directory


def test_tree_with_a_debian_directory_is_a_source(unit: Path) -> None:
    source = read_source(unit)
    assert (source.name, source.version, source.form, source.files) == ("hello", "1.0", "tree", ())
    assert source.epoch == 1790841600
    assert source.build_depends == (
        ("Build-Depends", "debhelper-compat (= 13), libgreet-dev (>= 1.0)"),
        ("Build-Depends-Indep", "man-db"),
    )


@pytest.mark.parametrize(
    ("version", "tarball"),
    [
        ("1.0-1", "hello_1.0.orig.tar.gz"),
        ("2:1.0-1", "hello_1.0.orig.tar.xz"),
        ("1.0-rc1-2", "hello_1.0-rc1.orig.tar.bz2"),
    ],
)
def test_debian_directory_beside_an_orig_tarball_is_a_source(tmp_path: Path, version: str, tarball: str) -> None:
    unit = write(tmp_path / "hello", version)
    component = tarball.replace(".orig.", ".orig-data.")
    for name in (tarball, component, tarball + ".asc", "README.md"):
        (unit / name).touch()
    (unit / ".cb").mkdir()
    source = read_source(unit)
    assert (source.form, source.files) == ("orig", (tarball, component))
    (unit / "main.c").touch()
    assert read_source(unit).form == "tree-with-orig"


@pytest.mark.parametrize(
    ("version", "style", "names", "form"),
    [
        ("1.0", "3.0 (native)", (), "tree"),
        ("1.0-1", "3.0 (native)", ("hello_1.0.orig.tar.xz",), "tree"),
        ("1.0-1", "3.0 (quilt)", ("main.c",), "tree"),
        ("1.0-1", "3.0 (quilt)", ("debian/source/options",), "tree"),
        ("1.0-1", "1.0", (), "tree"),
        ("1.0-1", "1.0", ("hello_1.0.orig.tar.gz",), "orig"),
        ("1.0-1", "2.0", ("hello_1.0.orig.tar.lzma",), "orig"),
    ],
)
def test_form_follows_the_source_format_as_in_dpkg_source(tmp_path, version, style, names, form) -> None:
    unit = write(tmp_path / "hello", version)
    source_format(unit, style)
    for name in names:
        (unit / name).write_text("create-empty-orig\n")
    assert read_source(unit).form == form


def test_dsc_with_its_files_is_a_source(tmp_path: Path) -> None:
    source = read_source(dsc(tmp_path / "hello"))
    assert (source.name, source.version, source.form) == ("hello", "1:1.0", "dsc")
    assert source.files == ("hello_1.0.dsc", "hello_1.0.tar.xz")
    assert source.build_depends == (("Build-Depends", "a, b (>= 2)"),)


def no_changelog(unit: Path) -> None:
    (unit / "debian" / "changelog").unlink()


def other_name(unit: Path) -> None:
    (unit / "debian" / "control").write_text(CONTROL.replace("Source: hello", "Source: goodbye"))


def no_date(unit: Path) -> None:
    text = CHANGELOG.format(version="1.0").replace("01 Oct 2026 08:00:00 +0000", "99 Oct 2026 08:00:00 +0000")
    (unit / "debian" / "changelog").write_text(text)


def other_tarball(unit: Path) -> None:
    write(unit, "1.0-1")
    (unit / "hello_0.9.orig.tar.gz").touch()


def no_tarball(unit: Path) -> None:
    write(unit, "1.0-1")


def tarball_and_no_revision(unit: Path) -> None:
    source_format(unit, "3.0 (quilt)")
    (unit / "hello_1.0.orig.tar.gz").touch()


def xz_in_the_old_format(unit: Path) -> None:
    write(unit, "1.0-1")
    source_format(unit, "1.0")
    (unit / "hello_1.0.orig.tar.xz").touch()


def unknown_format(unit: Path) -> None:
    source_format(unit, "quilt")


def empty_date(unit: Path) -> None:
    text = CHANGELOG.format(version="1.0").partition("  Thu")[0]
    (unit / "debian" / "changelog").write_text(f"{text}\n")


def tarball_linked_outside(unit: Path) -> None:
    write(unit, "1.0-1")
    (unit / "hello_1.0.orig.tar.gz").symlink_to("/etc/hostname")


def two_dscs(unit: Path) -> None:
    (unit / "a.dsc").touch()
    (unit / "b.dsc").touch()


def wrong_checksum(unit: Path) -> None:
    dsc(unit, "0" * 64)


def missing_tarball(unit: Path) -> None:
    dsc(unit)
    (unit / "hello_1.0.tar.xz").unlink()


def tarball_elsewhere(unit: Path) -> None:
    dsc(unit)
    text = (unit / "hello_1.0.dsc").read_text()
    (unit / "hello_1.0.dsc").write_text(text.replace("hello_1.0.tar.xz", "../../etc/passwd"))


def link_out_of_the_unit(unit: Path) -> None:
    (unit / "debian" / "control").unlink()
    (unit / "debian" / "control").symlink_to("/etc/passwd")


def no_packaging(unit: Path) -> None:
    (unit / "debian").rename(unit / "packaging")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_changelog, "debian/changelog: the file is missing"),
        (other_name, "debian/changelog:1: the newest entry is of hello, but debian/control says Source: goodbye"),
        (no_date, "debian/changelog:5: the entry of 1.0 has no valid date"),
        (empty_date, "debian/changelog:5: the entry of 1.0 has no valid date"),
        (other_tarball, r"needs hello_1\.0\.orig\.tar\.\*, but the unit has hello_0\.9"),
        (
            no_tarball,
            r"no upstream tarball: 1\.0-1 needs hello_1\.0\.orig\.tar\.\*, and the unit has debian/ alone",
        ),
        (tarball_and_no_revision, "1.0 has no Debian revision"),
        (xz_in_the_old_format, r"needs hello_1\.0\.orig\.tar\.gz, but the unit has hello_1\.0\.orig\.tar\.xz"),
        (unknown_format, "debian/source/format:1: not a source format: 'quilt'"),
        (tarball_linked_outside, "hello_1.0.orig.tar.gz: it is not a file of the unit"),
        (two_dscs, "b.dsc: more than one source: a.dsc, b.dsc"),
        (wrong_checksum, "does not match its checksum"),
        (missing_tarball, "hello_1.0.dsc:7: it lists hello_1.0.tar.xz, which is not in the unit"),
        (tarball_elsewhere, "lists ../../etc/passwd, which is not in the unit"),
        (link_out_of_the_unit, "is a link out of the unit"),
        (no_packaging, "neither debian/ nor a"),
    ],
)
def test_invalid_source_is_an_error_with_cause_and_hint(unit: Path, damage, message: str) -> None:
    damage(unit)
    with pytest.raises(Permanent, match=message) as error:
        read_source(unit)
    assert error.value.code == "source"
    assert error.value.hint


@pytest.mark.parametrize(
    ("version", "path"), [("1.0+b1", "/build/hello-1.0+b1"), ("2:1.0~rc1", "/build/hello-1.0~rc1")]
)
def test_source_is_always_built_at_the_same_path(tmp_path: Path, version: str, path: str) -> None:
    assert str(tree_of(read_source(write(tmp_path / "any" / "where", version)))) == path
    assert without_epoch(version) in path
