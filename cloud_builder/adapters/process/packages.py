"""Which Debian package brings a program, so that "not found" can say what to install."""

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
    """The Debian package with that program; its own name when it is not in the table."""
    return _PACKAGE.get(program, program)
