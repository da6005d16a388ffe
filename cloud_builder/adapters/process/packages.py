"""Debian packages by program, so that an error about a missing program can name the package to install."""

from __future__ import annotations

_PACKAGE = {
    "apt-ftparchive": "apt-utils",
    "apt-get": "apt",
    "dpkg": "dpkg",
    "dpkg-deb": "dpkg",
    "dpkg-source": "dpkg-dev",
    "git": "git",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "gpgv": "gpgv",
    "jing": "jing",
    "java": "openjdk-17-jre-headless",
    "mount": "mount",
    "mvn": "maven",
    "newgidmap": "uidmap",
    "newuidmap": "uidmap",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "tar": "tar",
    "xz": "xz-utils",
    "zstd": "zstd",
}


def package_of(program: str) -> str:
    """Returns the Debian package that contains a program; the program's name when the table does not have it."""
    return _PACKAGE.get(program, program)
