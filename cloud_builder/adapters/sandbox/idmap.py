"""The map of user and group ids: which ids of the machine stand for which ids inside a sandbox.

Inside, 0 is the runner's own user, so that root inside owns the files that the runner wrote. 1..65535 are subordinate
ids, which belong to no user outside. The choice is stable, so that an unpacked root stays usable.

An ordinary user has lines in /etc/subuid and /etc/subgid, and newuidmap and newgidmap write the map. Root without such
lines (a plain container) uses 100001 and up if its user namespace has them, else the ids that it has, unchanged.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud_builder.adapters.process import run
from cloud_builder.errors import CloudBuilderError, Retryable

from .host_errors import no_ids, no_uidmap_tools

IDS = 65535
"""Subordinate ids that a root file system needs: 1..65535."""
MIN_IDS = 1001
"""With fewer ids there is no build user."""
_FIRST_ID_OF_ROOT = 100001
_FIRST_SUBORDINATE_ID = 100000


@dataclass(frozen=True)
class Range:
    """`count` ids of the machine from `first` on."""

    first: int
    count: int

    @property
    def end(self) -> int:
        return self.first + self.count


@dataclass(frozen=True)
class IdMap:
    """The subordinate ranges for the ids 1, 2, … inside.

    by_kernel   True: this process may write uid_map itself (root); else newuidmap writes it
    """

    uids: Range
    gids: Range
    by_kernel: bool

    def apply(self, pid: int) -> None:
        """Maps the ids of the user namespace that process `pid` has just created."""
        own = (os.getuid(), os.getgid())
        for name, user, ids in (("uid", own[0], self.uids), ("gid", own[1], self.gids)):
            lines = ((0, user, 1), (1, ids.first, ids.count))
            if self.by_kernel:
                text = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in lines)
                Path(f"/proc/{pid}/{name}_map").write_text(text, encoding="ascii")
            else:
                numbers = [str(number) for line in lines for number in line]
                _run_tool([f"new{name}map", str(pid), *numbers])


def of_this_user() -> IdMap:
    """Returns the map of this user. Raises Retryable(code="sandbox") when the user has too few subordinate ids."""
    is_root = os.getuid() == 0
    uids, gids = (_largest(_granted(Path(f"/etc/{name}"))) for name in ("subuid", "subgid"))
    if is_root and (uids is None or gids is None):
        uids, gids = (_free(Path(f"/proc/self/{name}_map")) for name in ("uid", "gid"))
    if uids is None or gids is None or min(uids.count, gids.count) < MIN_IDS:
        raise no_ids(login_name(), first=first_unused(*(_text(Path(f"/etc/{name}")) for name in ("subuid", "subgid"))))
    return IdMap(_cut(uids), _cut(gids), by_kernel=is_root)


def parse_granted(text: str, names: Iterable[str]) -> Iterator[Range]:
    """Yields the ranges that /etc/subuid or /etc/subgid grants to a user, named by login or number (subuid(5))."""
    for line in text.splitlines():
        owner, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if owner in names and first.isdigit() and count.isdigit():
            yield Range(int(first), int(count))


def free_in(text: str) -> Range | None:
    """Returns the range that root uses, from the text of /proc/self/uid_map (user_namespaces(7)).

    It is 100001..165535 if the namespace of this process has all of them, else its largest range. One range only:
    the kernel refuses a line of the map that spans several."""
    mapped = [Range(int(line.split()[0]), int(line.split()[2])) for line in text.splitlines()]
    if any(ids.first <= _FIRST_ID_OF_ROOT and ids.end >= _FIRST_ID_OF_ROOT + IDS for ids in mapped):
        return Range(_FIRST_ID_OF_ROOT, IDS)
    return _largest([Range(max(ids.first, 1), ids.end - max(ids.first, 1)) for ids in mapped])


def first_unused(*texts: str) -> int:
    """Returns the first id after all ranges of files like /etc/subuid, at least 100000, as useradd would choose."""
    lines = [line.split(":") for text in texts for line in text.splitlines()]
    ends = [int(line[1]) + int(line[2]) for line in lines if len(line) == 3 and line[1].isdigit() and line[2].isdigit()]
    return max([_FIRST_SUBORDINATE_ID, *ends])


def _granted(file: Path) -> list[Range]:
    return list(parse_granted(_text(file), (login_name(), str(os.getuid()))))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def login_name() -> str:
    """Returns the login name from the password database; the environment may have another one."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _largest(ranges: list[Range]) -> Range | None:
    return max(ranges, key=lambda ids: ids.count, default=None)


def _free(file: Path) -> Range | None:
    return free_in(file.read_text(encoding="ascii"))


def _cut(ids: Range) -> Range:
    return Range(ids.first, min(ids.count, IDS))


def _run_tool(command: list[str]) -> None:
    try:
        run(command, error=Retryable, code="sandbox")
    except CloudBuilderError as cause:
        raise (no_uidmap_tools() if cause.code == "tool-missing" else no_ids(login_name(), str(cause))) from cause
