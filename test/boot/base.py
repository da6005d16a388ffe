"""The bare machine: Debian 12 with systemd, a kernel and what .ci/packages-run.txt lists, without Cloud Builder.

In go the two lists of packages; out come kernel, initrd and a disk, kept in the cache. Needs no root: mmdebstrap and
what follows run in a user namespace of their own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from boot import cache

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MIRROR = "http://deb.debian.org/debian"
SIZE = "12G"
"""Size of the disk, a sparse file."""
MAKE_ROOTFS = HERE / "make-rootfs.sh"
LISTS = (HERE / "packages.txt", ROOT / ".ci" / "packages-run.txt")


@dataclass(frozen=True)
class Base:
    """`disk` is never written to: each boot has its own changes."""

    kernel: Path
    initrd: Path
    disk: Path


def base() -> Base:
    names = packages()
    key = cache.digest([*names, MAKE_ROOTFS.read_text(), SIZE])
    made = cache.get_or_make("base", key, lambda into: _make(names, into))
    return Base(made / "kernel", made / "initrd", made / "disk")


def packages() -> list[str]:
    lines = (line for listed in LISTS for line in listed.read_text().splitlines())
    return sorted({line.split()[0] for line in lines if line.strip() and not line.startswith("#")})


def as_root() -> list[str]:
    """Returns what to put before a command that makes files of several owners."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-auto", "--map-root-user"]


def nice(*command: str | Path, **more: object) -> None:
    subprocess.run(["nice", "-n", "10", *map(str, command)], check=True, **more)  # type: ignore[call-overload]


def _make(names: list[str], into: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="cb-boot-", dir="/var/tmp") as work:
        Path(work).chmod(0o755)
        tar = Path(work) / "tree.tar"
        options = [f"--include={','.join(names)}", "--variant=minbase", "--quiet"]
        options.append('--aptopt=Acquire::Check-Valid-Until "false"')
        nice("mmdebstrap", *options, "bookworm", tar, MIRROR)
        nice(*as_root(), "bash", "-eu", MAKE_ROOTFS, tar, Path(work) / "tree", into, SIZE)
