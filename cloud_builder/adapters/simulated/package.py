"""Makes a Debian package from a name, a version and a text, without a program; equal input gives equal bytes.

Output: a .deb that dpkg and apt accept (deb(5): an ar archive of two tarballs).
"""

from __future__ import annotations

import gzip
import io
import tarfile

from cloud_builder.model.artifact import BinaryPackage

_DATE = 1_577_836_800
"""2020-01-01: a constant, so that the bytes are equal."""


def described(name: str, version: str) -> BinaryPackage:
    """Returns the metadata of the package."""
    return BinaryPackage(name=name, version=version, architecture="all")


def deb(package: BinaryPackage, text: str) -> bytes:
    """Returns the bytes of the package, with `text` as its only file."""
    control = (
        f"Package: {package.name}\nVersion: {package.version}\nArchitecture: {package.architecture}\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: made by a simulated build\n"
    )
    members = (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", _tarball("./control", control)),
        ("data.tar.gz", _tarball(f"./usr/share/doc/{package.name}/inputs", text)),
    )
    return b"!<arch>\n" + b"".join(_member(name, content) for name, content in members)


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{_DATE:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def _tarball(path: str, text: str) -> bytes:
    content, file = text.encode(), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        parts = path.split("/")[1:-1]
        for depth in range(1, len(parts) + 1):
            directory = tarfile.TarInfo("./" + "/".join(parts[:depth]))
            directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o755, _DATE
            tar.addfile(directory)
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode, entry.mtime = len(content), 0o644, _DATE
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)
