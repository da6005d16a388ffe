"""What the runner tells the stage, and what it hears back, over one socket.

Runner → stage: one JSON line (the `Spec`), then single bytes: MAPPED, DISK (how much is used?), SHARED
(how much memory is in files and segments?), KILL. The end of the
stream means KILL. Stage → runner: JSON lines with one of the keys in `Said`.
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
    """All paths are absolute. `side` is a directory of the run's own, deleted with everything in it at the end."""

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
    """`unshared`: write the id maps now. `init`: the pid of the confined pid 1. `status`: how the program ended (exit
    code, or minus the signal), with `rss` of its largest process in bytes, and how many processes it `left`. `disk`,
    `shared`: bytes used. `error`: the step that the kernel refused, with its `errno`."""

    unshared: bool
    init: int
    status: int
    rss: int
    left: int
    disk: int
    shared: int
    error: str
    errno: int
