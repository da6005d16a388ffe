"""Entries of a Packages file from control files, also from malicious ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters import process
from cloud_builder.adapters.deb import binary_package
from cloud_builder.errors import Permanent

CONTROL = """\
Package: hello
Version: 1:2.0-1~x
Architecture: amd64
Maintainer: Someone <someone@example.org>
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= 2.34),
 libgreet1 (>= 1.0) | greet
Provides: greeting (= 2.0),
 salute
Description: says hello
 In more than
 .
 one paragraph.
"""


def test_binary_package_has_the_fields_of_its_control_file() -> None:
    package = binary_package.binary_package(CONTROL)
    assert (package.name, package.version, package.architecture) == ("hello", "1:2.0-1~x", "amd64")
    assert package.depends == "init-system-helpers (>= 1.54~), libc6 (>= 2.34), libgreet1 (>= 1.0) | greet"
    assert package.provides == "greeting (= 2.0), salute"


def test_packages_entry_is_the_control_file_with_path_size_and_checksum() -> None:
    stanza = binary_package.packages_entry(CONTROL, "pool/x/hello.deb", 12, "a" * 64)
    assert stanza.startswith("Package: hello\nVersion: 1:2.0-1~x\n")
    assert stanza.endswith(f"\nFilename: pool/x/hello.deb\nSize: 12\nSHA256: {'a' * 64}\n")
    assert "\n .\n one paragraph.\n" in stanza
    assert binary_package.binary_package(stanza) == binary_package.binary_package(CONTROL)


@pytest.mark.parametrize(
    "crafted",
    [
        CONTROL + "SHA256: " + "b" * 64 + "\nFilename: evil.deb\n",
        CONTROL + "\nPackage: evil\nVersion: 9\nArchitecture: all\n",
        CONTROL.replace("Maintainer", "MD5sum: 0\nsize: 1\nMaintainer"),
    ],
    ids=["own checksum", "second stanza", "own size"],
)
def test_packages_entry_ignores_injected_fields_and_stanzas(crafted: str) -> None:
    plain = binary_package.packages_entry(CONTROL, "pool/x/hello.deb", 12, "a" * 64)
    assert binary_package.packages_entry(crafted, "pool/x/hello.deb", 12, "a" * 64) == plain


@pytest.mark.parametrize("control", ["", "Package: x\n", "no field at all"])
def test_invalid_control_file_is_a_permanent_error(control: str) -> None:
    with pytest.raises(Permanent) as caught:
        binary_package.binary_package(control)
    assert caught.value.code == "not-a-deb"


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd"])
def test_control_file_is_read_from_each_compression(tmp_path: Path, compression: str) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(CONTROL)
    process.run(["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", tree, tmp_path / "x.deb"])
    assert binary_package.binary_package(binary_package.read(tmp_path / "x.deb")) == binary_package.binary_package(
        CONTROL
    )


def test_file_that_is_no_deb_is_a_permanent_error(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"!<arch>\nno")
    with pytest.raises(Permanent) as caught:
        binary_package.read(tmp_path / "x.deb")
    assert caught.value.code == "not-a-deb"
