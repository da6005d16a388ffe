"""The messages between the runner and the stage, on one socket.

Runner → stage: one JSON line (the `Spec`), then commands of one byte.
Stage → runner: JSON lines, each a `StageMessage`.

    MAPPED   the ids are mapped, continue
    DISK     measure the disk that the run uses
    SHARED   measure its memory in files and segments
    KILL     kill all processes of the run; the end of the stream means the same
"""

from __future__ import annotations

from typing import TypedDict

MAPPED = b"m"
DISK = b"d"
SHARED = b"s"
KILL = b"k"


class BindSpec(TypedDict):
    source: str
    target: str
    writable: bool


class Spec(TypedDict):
    """The confinement of one run. All paths are absolute. The stage deletes the side directory `side` at the end."""

    parent: int
    command: list[str]
    environment: dict[str, str]
    directory: str
    hostname: str
    uid: int
    layers: list[str]
    upper: str
    side: str
    binds: list[BindSpec]
    network: bool
    terminal: bool
    memory: int
    processes: int
    cpus: list[int]


class StageMessage(TypedDict, total=False):
    """A message of the stage.

    unshared       the user namespace exists: the runner has to write the id maps
    init           pid of pid 1 of the run
    status         exit code of the program, or minus its signal; with it `rss` and `left`
    rss            bytes of the largest process of the run
    left           processes that still ran when the program ended
    disk, shared   bytes used, after DISK and SHARED
    error, errno   the step that the kernel refused
    """

    unshared: bool
    init: int
    status: int
    rss: int
    left: int
    disk: int
    shared: int
    error: str
    errno: int
