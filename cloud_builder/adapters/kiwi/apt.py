"""Finishes a root with apt: build dependencies can be installed later from package lists that do not change.

Input: a root that KIWI just made. Output: the same directory. The package lists are downloaded.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cloud_builder.adapters.kiwi.description import Description, RepositoryElement

_CONFIGURATION = """\
APT::Install-Recommends "0";
APT::Install-Suggests "0";
APT::Get::Assume-Yes "1";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dpkg::Use-Pty "0";
"""
_CHECKED = {
    "APT::Update::Error-Mode": "any",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
    "Acquire::http::Timeout": "30",
    "Acquire::https::Timeout": "30",
}
"""A list that cannot be fetched or verified is an error, also where the machine's own configuration allows it."""
_DPKG = "force-unsafe-io\n"
"""No path-exclude here: what a build asks for has its documentation, manual pages and message catalogs."""
_POLICY = "#!/bin/sh\n# No service is started in a build root.\nexit 101\n"

_FINISH = r"""
set -eu
root=$1; shift
for directory in dev proc; do mkdir -p "$root/$directory"; mount --rbind "/$directory" "$root/$directory"; done
mkdir -p "$root/etc/apt/apt.conf.d" "$root/etc/dpkg/dpkg.cfg.d" "$root/etc/apt/sources.list.d" "$root/usr/sbin"
printf %s "$CONFIGURATION" > "$root/etc/apt/apt.conf.d/99cloud-builder"
printf %s "$DPKG" > "$root/etc/dpkg/dpkg.cfg.d/99cloud-builder"
printf %s "$POLICY" > "$root/usr/sbin/policy-rc.d"; chmod 755 "$root/usr/sbin/policy-rc.d"
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
mkdir -p "$root$KEYRINGS"
for key; do cp "$key" "$root$KEYRINGS/"; chmod 644 "$root$KEYRINGS/${key##*/}"; done
printf %s "$SOURCES" > "$root/etc/apt/sources.list.d/cloud-builder.sources"
rm -f "$root/etc/resolv.conf"; cp -L /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get -q update
: > "$root/etc/resolv.conf"; chmod 644 "$root/etc/resolv.conf"
echo "man-db man-db/auto-update boolean false" | chroot "$root" debconf-set-selections
chroot "$root" apt-get clean
chroot "$root" apt-cache gencaches -q
rm -rf "$root/image" "$root/.profile" "$root/var/log/apt" "$root"/tmp/* "$root"/var/tmp/* "$root"/run/*
"""
"""A shell script. $1: the root; then the keys. The environment has the contents of the files."""
_KEYRINGS = "/usr/share/keyrings"
_SNAPSHOTS = "snapshot.debian.org"


def finish(description: Description, keys: tuple[tuple[Path, ...], ...], root: str) -> tuple[list[str], dict[str, str]]:
    """Returns the command that finishes `root` on the file system of the machine, and its environment.

    `keys`: the files with which each repository is checked (`keys.collect`)."""
    checked = "".join(f'{name} "{value}";\n' for name, value in options(description).items())
    environment = {
        "CONFIGURATION": _CONFIGURATION + checked,
        "DPKG": _DPKG,
        "POLICY": _POLICY,
        "SOURCES": sources(description, keys),
        "KEYRINGS": _KEYRINGS,
        "DEBIAN_FRONTEND": "noninteractive",
    }
    files = dict.fromkeys(str(file) for own in keys for file in own)
    return ["/bin/sh", "-c", _FINISH, "finish", root, *files], environment


def sources(description: Description, keys: tuple[tuple[Path, ...], ...]) -> str:
    """Returns the text of a deb822 sources file (sources.list(5)): a stanza for each repository."""
    return "\n".join(_stanza(*pair) for pair in zip(description.repositories, keys, strict=True))


def options(description: Description) -> dict[str, str]:
    """Returns the options of apt.conf(5) with which a root is made and its lists are updated.

    Lists that have expired are refused, except those of a past state that the description names on purpose."""
    is_past = any(urlsplit(repository.uri).hostname == _SNAPSHOTS for repository in description.repositories)
    return {**_CHECKED, "Acquire::Check-Valid-Until": "false" if is_past else "true"}


def _stanza(repository: RepositoryElement, keys: tuple[Path, ...]) -> str:
    fields = {
        "Types": "deb",
        "URIs": repository.uri,
        "Suites": repository.distribution or "./",
        "Components": repository.components if repository.distribution else "",
        "Signed-By": " ".join(f"{_KEYRINGS}/{key.name}" for key in keys),
        "Trusted": "yes" if repository.unverified else "",
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
