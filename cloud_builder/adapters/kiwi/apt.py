"""Finishes a root with apt: build dependencies can be installed later from package lists that do not change.

Input: a root that KIWI just made. Output: the same directory. The package lists are downloaded.
"""

from __future__ import annotations

from cloud_builder.adapters.kiwi.description import Description, RepositoryElement

_CONFIGURATION = """\
APT::Install-Recommends "0";
APT::Install-Suggests "0";
APT::Get::Assume-Yes "1";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Check-Valid-Until "0";
Acquire::Retries "3";
Dpkg::Use-Pty "0";
"""
_DPKG = "force-unsafe-io\n"
"""No path-exclude here: what a build asks for has its documentation, manual pages and message catalogs."""
_POLICY = "#!/bin/sh\n# No service is started in a build root.\nexit 101\n"

_FINISH = r"""
set -eu
root=$1
for directory in dev proc; do mkdir -p "$root/$directory"; mount --rbind "/$directory" "$root/$directory"; done
mkdir -p "$root/etc/apt/apt.conf.d" "$root/etc/dpkg/dpkg.cfg.d" "$root/etc/apt/sources.list.d" "$root/usr/sbin"
printf %s "$CONFIGURATION" > "$root/etc/apt/apt.conf.d/99cloud-builder"
printf %s "$DPKG" > "$root/etc/dpkg/dpkg.cfg.d/99cloud-builder"
printf %s "$POLICY" > "$root/usr/sbin/policy-rc.d"; chmod 755 "$root/usr/sbin/policy-rc.d"
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
printf %s "$SOURCES" > "$root/etc/apt/sources.list.d/cloud-builder.list"
rm -f "$root/etc/resolv.conf"; cp -L /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get -q update -o APT::Update::Error-Mode=any
: > "$root/etc/resolv.conf"; chmod 644 "$root/etc/resolv.conf"
echo "man-db man-db/auto-update boolean false" | chroot "$root" debconf-set-selections
chroot "$root" apt-get clean
chroot "$root" apt-cache gencaches -q
rm -rf "$root/image" "$root/.profile" "$root/var/log/apt" "$root"/tmp/* "$root"/var/tmp/* "$root"/run/*
"""
"""A shell script. $1: the root. The environment has the contents of the files."""


def finish(description: Description, root: str) -> tuple[list[str], dict[str, str]]:
    """Returns the command that finishes `root` on the file system of the machine, and its environment."""
    environment = {
        "CONFIGURATION": _CONFIGURATION,
        "DPKG": _DPKG,
        "POLICY": _POLICY,
        "SOURCES": sources_list(description.repositories),
        "DEBIAN_FRONTEND": "noninteractive",
    }
    return ["/bin/sh", "-c", _FINISH, "finish", root], environment


def sources_list(repositories: tuple[RepositoryElement, ...]) -> str:
    """Returns the text of a sources.list(5): one line a repository."""
    return "".join(_line(repository) for repository in repositories)


def _line(repository: RepositoryElement) -> str:
    options = "[check-valid-until=no trusted=yes]" if repository.trusted else "[check-valid-until=no]"
    where = f"{repository.distribution} {repository.components}" if repository.distribution else "./"
    return f"deb {options} {repository.uri} {where}\n"
