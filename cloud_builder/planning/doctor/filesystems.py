"""Checks that the daemons' directories can be written, have space, and are on file systems that builds can use."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.text import size

from .facts import DirectoryFacts, Facts
from .finding import Finding, Level, ok

MIB = 1024**2
GIB = 1024**3
MIN_FREE_BYTES = 64 * MIB
"""Less is an error: nothing can be written any more."""
LOW_FREE_BYTES, LOW_FREE_BYTES_TO_BUILD = GIB, 5 * GIB
"""Less is a warning."""
MIN_INODES = 200
LOW_INODES, LOW_INODES_TO_BUILD = 5_000, 50_000
_NO_OVERLAY = frozenset({"overlay", "nfs", "nfs4", "cifs", "vfat", "exfat", "fuse", "fuseblk", "9p"})
"""File systems that cannot be the upper directory of an overlay."""


def check_directories(facts: Facts) -> Iterator[Finding]:
    for directory in facts.directories:
        found = tuple(_check(directory, facts.user))
        summary = f"{directory.path}: {directory.file_system}, {size(directory.free)} free"
        yield from found or (ok(directory.name, summary),)


def _check(directory: DirectoryFacts, user: str) -> Iterator[Finding]:
    name, path = directory.name, directory.path
    move = f"set {directory.setting} to a directory on another file system"
    if not directory.writable:
        fix = f"chown {user} {path}, or {move}"
        yield Finding(name, Level.ERROR, f"{path} cannot be written by user {user}", fix)
    free, files = (LOW_FREE_BYTES_TO_BUILD, LOW_INODES_TO_BUILD) if directory.builds else (LOW_FREE_BYTES, LOW_INODES)
    if directory.free < free:
        level = Level.ERROR if directory.free < MIN_FREE_BYTES else Level.WARNING
        message = f"{path} has {size(directory.free)} of free space; it needs at least {size(free)}"
        yield Finding(name, level, message, f"free space there (df -h {path}), or {move}")
    if directory.inodes is not None and directory.inodes < files:
        level = Level.ERROR if directory.inodes < MIN_INODES else Level.WARNING
        message = f"{path} has inodes for {directory.inodes} files; it needs at least {files}"
        yield Finding(name, level, message, f"remove files there (df -i {path}), or {move}")
    if directory.builds:
        yield from _check_for_builds(directory, move)


def _check_for_builds(directory: DirectoryFacts, move: str) -> Iterator[Finding]:
    name, path = directory.name, directory.path
    if directory.file_system in _NO_OVERLAY:
        message = f"{path} is on {directory.file_system}, which overlays cannot write to"
        yield Finding(name, Level.ERROR, message, f"{move}: ext4, xfs, btrfs or tmpfs")
    if "noexec" in directory.options:
        message = f"{path} is mounted noexec: programs of a build root cannot run"
        yield Finding(name, Level.ERROR, message, f"{_remount('exec', path)}, or {move}")
    if "nosuid" in directory.options:
        effect = "set-user-ID programs of a build root have no effect (su, mount in a package's tests)"
        message = f"{path} is mounted nosuid: {effect}"
        yield Finding(name, Level.WARNING, message, f"{_remount('suid', path)}, or {move}")


def _remount(option: str, path: str) -> str:
    return f"mount -o remount,{option} $(findmnt -no TARGET -T {path})"
