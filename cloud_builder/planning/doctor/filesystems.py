"""Whether there is room where we write, and file systems that can be built on."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import DirectoryFacts, Facts
from .finding import Finding, Level, ok

MIB = 1024**2
GIB = 1024**3
NO_ROOM = 64 * MIB
LITTLE_ROOM, LITTLE_ROOM_TO_BUILD = GIB, 5 * GIB
NO_INODES, FEW_INODES, FEW_INODES_TO_BUILD = 200, 5_000, 50_000
_NO_UPPER = frozenset({"overlay", "nfs", "nfs4", "cifs", "vfat", "exfat", "fuse", "fuseblk", "9p"})


def places(facts: Facts) -> Iterator[Finding]:
    for place in facts.places:
        found = tuple(_place(place, facts.user))
        yield from found or (ok(place.name, f"{place.path}: {place.file_system}, {place.free / GIB:.1f} GiB free"),)


def _place(place: DirectoryFacts, user: str) -> Iterator[Finding]:
    elsewhere = f"point the setting {place.setting} to another file system"
    if not place.writable:
        mend = f"chown {user} {place.path}, or {elsewhere}"
        yield Finding(place.name, Level.ERROR, f"{place.path} cannot be written by user {user}", mend)
    wanted, files = (LITTLE_ROOM_TO_BUILD, FEW_INODES_TO_BUILD) if place.builds else (LITTLE_ROOM, FEW_INODES)
    if place.free < wanted:
        level = Level.ERROR if place.free < NO_ROOM else Level.WARNING
        message = f"{place.path} has {place.free // MIB} MiB left; it wants at least {wanted // GIB} GiB"
        yield Finding(place.name, level, message, f"make room there (df -h {place.path}), or {elsewhere}")
    if place.inodes is not None and place.inodes < files:
        level = Level.ERROR if place.inodes < NO_INODES else Level.WARNING
        message = f"{place.path} has room for {place.inodes} files; it wants at least {files}"
        yield Finding(place.name, level, message, f"make room there (df -i {place.path}), or {elsewhere}")
    if place.builds:
        yield from _build_place(place, elsewhere)


def _build_place(place: DirectoryFacts, elsewhere: str) -> Iterator[Finding]:
    if place.file_system in _NO_UPPER:
        cause = f"{place.path} lies on {place.file_system}, which overlays cannot write to"
        yield Finding(place.name, Level.ERROR, cause, f"{elsewhere}: ext4, xfs, btrfs or tmpfs")
    if "noexec" in place.options:
        mend = f"mount -o remount,exec $(findmnt -no TARGET -T {place.path}), or {elsewhere}"
        cause = f"{place.path} is mounted noexec: programs of a build root could not run"
        yield Finding(place.name, Level.ERROR, cause, mend)
    if "nosuid" in place.options:
        mend = f"mount -o remount,suid $(findmnt -no TARGET -T {place.path}), or {elsewhere}"
        effect = "set-user-ID programs of a build root have no effect (su, mount in a package's tests)"
        yield Finding(place.name, Level.WARNING, f"{place.path} is mounted nosuid: {effect}", mend)
