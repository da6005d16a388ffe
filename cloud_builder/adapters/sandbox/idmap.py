"""Which ids of the machine stand for which inside. Inside 0 is always the runner's own user: what it wrote, inside root
owns. 1..65535 are subordinate ids: nobody outside. The choice is stable, so that roots unpacked once fit for ever.

An ordinary user: its lines in /etc/subuid and /etc/subgid, written by newuidmap and newgidmap. Root without such lines
(a plain container): 100001 and up, where its user namespace has them, else the ids it has, as they are.
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
"""How many subordinate ids a root file system needs: 1..65535."""
LEAST = 1001
"""With fewer there is no build user."""
_FIRST_OF_ROOT = 100001
_FIRST_GIVEN = 100000


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
    """The subordinate ranges that 1, 2, … inside stand for, and who may write them into the kernel."""

    uids: Range
    gids: Range
    by_kernel: bool
    """We may write uid_map ourselves (root); else newuidmap does."""

    def apply(self, pid: int) -> None:
        """Maps the ids of the user namespace that process `pid` has just made."""
        own = (os.getuid(), os.getgid())
        for name, user, ids in (("uid", own[0], self.uids), ("gid", own[1], self.gids)):
            lines = ((0, user, 1), (1, ids.first, ids.count))
            if self.by_kernel:
                text = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in lines)
                Path(f"/proc/{pid}/{name}_map").write_text(text, encoding="ascii")
            else:
                numbers = [str(number) for line in lines for number in line]
                _by_tool([f"new{name}map", str(pid), *numbers])


def of_this_user() -> IdMap:
    """Raises Retryable(code="sandbox") when this user has no ids to give."""
    root = os.getuid() == 0
    uids, gids = (_largest(_granted(Path(f"/etc/{name}"))) for name in ("subuid", "subgid"))
    if root and (uids is None or gids is None):
        uids, gids = (_free(Path(f"/proc/self/{name}_map")) for name in ("uid", "gid"))
    if uids is None or gids is None or min(uids.count, gids.count) < LEAST:
        raise no_ids(_user(), first=first_unused(*(_text(Path(f"/etc/{name}")) for name in ("subuid", "subgid"))))
    return IdMap(_cut(uids), _cut(gids), by_kernel=root)


def parse_granted(text: str, names: Iterable[str]) -> Iterator[Range]:
    """Ranges that /etc/subuid or /etc/subgid gives to a user, who is named by login or number (subuid(5))."""
    for line in text.splitlines():
        owner, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if owner in names and first.isdigit() and count.isdigit():
            yield Range(int(first), int(count))


def free_in(text: str) -> Range | None:
    """Where root takes its ids from, by the text of /proc/self/uid_map (user_namespaces(7)): its own namespace's
    ids from 100001 on if there are enough, else the largest range that is there, as it is. One range: the kernel
    maps no others."""
    mapped = [Range(int(line.split()[0]), int(line.split()[2])) for line in text.splitlines()]
    if any(one.first <= _FIRST_OF_ROOT and one.end >= _FIRST_OF_ROOT + IDS for one in mapped):
        return Range(_FIRST_OF_ROOT, IDS)
    return _largest([Range(max(one.first, 1), one.end - max(one.first, 1)) for one in mapped])


def first_unused(*texts: str) -> int:
    """The first id behind all that files like /etc/subuid give away, 100000 at least: where useradd would go on."""
    lines = [line.split(":") for text in texts for line in text.splitlines()]
    ends = [int(line[1]) + int(line[2]) for line in lines if len(line) == 3 and line[1].isdigit() and line[2].isdigit()]
    return max([_FIRST_GIVEN, *ends])


def _granted(file: Path) -> list[Range]:
    return list(parse_granted(_text(file), (_user(), str(os.getuid()))))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _user() -> str:
    """Our login, and not what the environment says it is."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _largest(ranges: list[Range]) -> Range | None:
    return max(ranges, key=lambda one: one.count, default=None)


def _free(file: Path) -> Range | None:
    return free_in(file.read_text(encoding="ascii"))


def _cut(ids: Range) -> Range:
    return Range(ids.first, min(ids.count, IDS))


def _by_tool(command: list[str]) -> None:
    try:
        run(command, error=Retryable, code="sandbox")
    except CloudBuilderError as cause:
        raise (no_uidmap_tools() if cause.code == "tool-missing" else no_ids(_user(), str(cause))) from cause
