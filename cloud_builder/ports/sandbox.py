"""The port to confinement: one program in a root file system of its own, as a `Confinement` describes.

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
    """A bind mount: `source` of the machine appears at `target` (absolute, inside), which is created if missing."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Confinement:
    """The confinement of one program.

    `layers`: directories that make up the root, lowest first; none of them is written to. Without layers the program
    sees the machine's own root, read-only except for the binds (for tools of the machine: KIWI).
    `upper`: the directory that receives changes; it is kept after the run and can become a layer. None: changes are
    discarded."""

    layers: tuple[Path, ...] = ()
    upper: Path | None = None
    binds: tuple[Bind, ...] = ()
    network: bool = False
    uid: int = 0
    """User and group id inside. 0 is root in its own user namespace, with the capabilities that installing packages
    needs. Outside, 0 is the runner's own user, so that root inside owns the files that the runner wrote; all other
    ids are unprivileged outside."""
    hostname: str = "localhost"
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment."""
    limits: Limits | None = None
    """None: only `cancel` limits the run."""


class EndReason(StrEnum):
    """The reason why a program ended: by itself, or the limit that ended it."""

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
    """The result of a run.

    `status`: exit code, or minus the signal.
    `seconds`: wall time.
    `peak_memory`: bytes.
    `host_out_of_memory`: during the run the machine ran out of memory, and its kernel killed a process.
    `disk_was_full`: during the run the disk that holds the changes was full."""

    status: int
    ended_by: EndReason = EndReason.ITSELF
    seconds: float = 0.0
    peak_memory: int = 0
    host_out_of_memory: bool = False
    disk_was_full: bool = False


class Sandbox(Protocol):
    """A sandbox. Thread-safe.

    When a run returns, or when this process ends in any way, no process and no mount of the run is left. Raises
    Retryable(code="sandbox") if the machine cannot confine programs; the message has what is missing."""

    def run(
        self,
        command: Sequence[str],
        confinement: Confinement,
        *,
        output: Callable[[bytes], None],
        cancel: Event,
        stdin: int | None = None,
    ) -> RunResult:
        """Runs the command until it ends. `output` receives stdout and stderr as they are written.

        `stdin` None is /dev/null; 0 passes the terminal through (cb-ctl shell)."""

    def remove(self, path: Path) -> None:
        """Deletes a tree that may belong to the subordinate ids. A missing tree is no error."""

    def pack(self, root: Path, into: Path, cancel: Event | None = None) -> None:
        """Writes a tree, with the ids as seen inside, to a compressed archive.

        Raises Retryable(code="canceled") after `cancel` was set."""

    def unpack(self, archive: Path, root: Path, cancel: Event | None = None) -> None:
        """Unpacks an archive of `pack` into a new directory."""

    def sweep(self) -> None:
        """Deletes what runs of a killed process left on disk. Called at the start."""
