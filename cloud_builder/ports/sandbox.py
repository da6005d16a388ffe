"""The port to confinement: run one program in a root file system of its own, as a value says.

Needs no root on the machine: an ordinary user with a subordinate uid range, or root in a plain container.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Protocol

from cloud_builder.model.limits import Limits


@dataclass(frozen=True)
class Bind:
    """Shows `source` of the machine at `target` (absolute, inside). Made when missing."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Confinement:
    """Everything that is confined about one program.

    `layers`: directories that make up the root, lowest first; the last is not written to. `upper`: where changes go
    (a directory, kept after the run, so that it can become a layer); None: changes are thrown away.
    Without `layers` the machine's own root is shown, read-only but for the binds (for tools of the machine: KIWI)."""

    layers: tuple[Path, ...] = ()
    upper: Path | None = None
    binds: tuple[Bind, ...] = ()
    network: bool = False
    uid: int = 0
    """User and group id inside. 0 is root in its own user namespace, with what installing packages takes, and the
    runner's own user outside, so that what the runner wrote is its own inside; all others are nobody outside."""
    hostname: str = "localhost"
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment."""
    limits: Limits | None = None
    """None: only the end of `cancel` limits it."""


class EndReason(StrEnum):
    """Why the program ended, when not by itself."""

    ITSELF = "itself"
    CANCEL = "cancel"
    TIME = "time"
    SILENCE = "silence"
    MEMORY = "memory"
    DISK = "disk"
    LOG = "log"
    PROCESSES = "processes"


@dataclass(frozen=True)
class RunResult:
    """`status`: exit code, or minus the signal. `peak_memory` in bytes, `seconds` of wall time.

    `starved`: the machine itself ran out of memory meanwhile, and its kernel killed somebody. `crowded`: the disk that
    changes lie on was full meanwhile."""

    status: int
    ended_by: EndReason = EndReason.ITSELF
    seconds: float = 0.0
    peak_memory: int = 0
    host_out_of_memory: bool = False
    disk_was_full: bool = False


class Sandbox(Protocol):
    """Thread-safe. When it returns, or when this process dies in any way, no process and no mount of the run is left.

    Raises Retryable(code="sandbox") when the machine cannot confine (the message says what it lacks)."""

    def run(
        self,
        command: Sequence[str],
        confinement: Confinement,
        *,
        output: Callable[[bytes], None],
        cancel: Event,
        stdin: int | None = None,
    ) -> RunResult:
        """Runs to the end. `output` gets stdout and stderr as they come; `stdin` None is /dev/null.

        With `stdin` 0 the terminal is handed through (cb-ctl shell)."""

    def remove(self, path: Path) -> None:
        """Deletes a tree that may belong to the subordinate ids. Missing is fine."""

    def pack(self, root: Path, into: Path, cancel: Event | None = None) -> None:
        """Writes a tree, with the ids as seen inside, to a compressed archive. Retryable(code="canceled")."""

    def unpack(self, archive: Path, root: Path, cancel: Event | None = None) -> None:
        """The reverse, into a new directory."""

    def sweep(self) -> None:
        """At start: deletes what runs of a killed process left on disk."""
