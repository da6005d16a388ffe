"""The port `Sandbox` by Linux namespaces: each run has its own user namespace, so that no root is needed.

Input: a command and its confinement, or a tree to delete, pack or unpack. Output: the result of the run. Must not leave
a process or a mount behind, even when this process is killed; its files on disk are swept at the next start.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from threading import Event

from cloud_builder.adapters.process.packages import package_of
from cloud_builder.errors import Retryable
from cloud_builder.files.directories import abandoned_directories
from cloud_builder.ports.sandbox import Bind, Confinement, EndReason, RunResult

from . import idmap, scratch
from .cgroups import Cgroups
from .host_errors import no_program
from .stage.spec import Spec
from .stage_session import StageSession

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TAR = ("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*")
_PACK, _UNPACK = "zstd -T0 -3", "zstd -T0"
_REMOVE_PAUSES = (0.1, 0.4, 0.0)
"""Seconds to wait after each failed try to remove a tree; 0: after the last one."""
_MAX_OUTPUT_BYTES = 4000
"""Output of an archive tool in its error, from the end."""


class NamespaceSandbox:
    """Thread-safe. `work`: for changes that are discarded after a run; default: /var/tmp/cloud-builder-<uid>."""

    def __init__(self, work: Path | None = None, cgroups: Cgroups | None = None) -> None:
        self._work = work or scratch.default_work_directory()
        self._pinned_runs = count()
        self._cgroups = cgroups or Cgroups()

    def run(
        self,
        command: Sequence[str],
        confinement: Confinement,
        *,
        output: Callable[[bytes], None],
        cancel: Event,
        stdin: int | None = None,
    ) -> RunResult:
        ids = idmap.of_this_user()
        limits = confinement.limits
        with (
            scratch.side_directory(*self._side_parent(confinement.upper)) as side,
            self._cgroups.for_run(side.name.lstrip("."), limits) as cgroup,
        ):
            spec = self._spec(command, confinement, side, terminal=stdin == 0)
            return StageSession(spec, ids, limits, cgroup, output).run(cancel, stdin)

    def remove(self, path: Path) -> None:
        """Deletes a tree. Tries again: processes that were killed a moment ago may still have written into it.

        On a full disk, without room for the side directory of this very run, the side directory is in memory."""
        command = ["rm", "-rf", "--", str(path)]
        for pause in _REMOVE_PAUSES:
            if not (path.is_symlink() or path.exists()):
                return
            try:
                self._tool(command, path.parent)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                NamespaceSandbox(scratch.memory_work_directory(), self._cgroups)._tool(command, path.parent)  # noqa: SLF001
            except Retryable:
                if not pause:
                    raise
                time.sleep(pause)

    def pack(self, root: Path, into: Path, cancel: Event | None = None) -> None:
        command = [*_TAR, "-I", _PACK, "-C", str(root), "-cf", str(into), "."]
        self._tool(command, root, into.parent, cancel=cancel)

    def unpack(self, archive: Path, root: Path, cancel: Event | None = None) -> None:
        root.mkdir()
        command = [*_TAR, "-I", _UNPACK, "-C", str(root), "-xpf", str(archive)]
        self._tool(command, root, archive.parent, cancel=cancel)

    def sweep(self) -> None:
        """Deletes the side directories of killed processes.

        Also finds the delegated control group, while this process has no children that would have to be moved."""
        self._cgroups.base()
        scratch.prepare(self._work)
        for work in (self._work, scratch.memory_work_directory()):
            for side in abandoned_directories(work, f"{scratch.SIDE_PREFIX}*"):
                self.remove(side)

    def _side_parent(self, upper: Path | None) -> tuple[Path, str]:
        """Returns the parent of the side directory and its prefix.

        overlayfs requires the side directory on the file system of the changes (`upper`)."""
        if upper is None:
            scratch.prepare(self._work)
            return self._work, scratch.SIDE_PREFIX
        if not upper.exists():
            upper.mkdir(parents=True)
            upper.chmod(0o755)
        return upper.parent, f".{upper.name}.run-"

    def _spec(self, command: Sequence[str], confinement: Confinement, side: Path, *, terminal: bool) -> Spec:
        limits = confinement.limits
        return Spec(
            parent=os.getpid(),
            command=list(command),
            environment={"PATH": _PATH, **confinement.environment},
            directory=confinement.directory,
            hostname=confinement.hostname,
            uid=confinement.uid,
            layers=[str(layer.absolute()) for layer in confinement.layers],
            upper=str((confinement.upper or side / "upper").absolute()),
            side=str(side.absolute()),
            binds=[
                {"source": str(bind.source.absolute()), "target": bind.target, "writable": bind.writable}
                for bind in confinement.binds
            ],
            network=confinement.network,
            terminal=terminal,
            memory=limits.memory if limits else 0,
            processes=limits.processes if limits else 0,
            cpus=self._cpus(limits.cpu if limits else 0),
        )

    def _cpus(self, cores_of_run: int) -> list[int]:
        """Returns the cores of a run, by turns, so that parallel runs use different ones; empty: all."""
        cores = sorted(os.sched_getaffinity(0))
        if not 0 < cores_of_run < len(cores):
            return []
        first = next(self._pinned_runs) * cores_of_run
        return [cores[(first + number) % len(cores)] for number in range(cores_of_run)]

    def _tool(self, command: list[str], *writable: Path, cancel: Event | None = None) -> None:
        """Runs a program of the machine with the ids as seen inside."""
        for program in {command[0], *(("zstd",) if "-I" in command else ())}:
            if shutil.which(program) is None:
                raise no_program(program, package_of(program))
        printed = bytearray()
        binds = tuple(Bind(path.absolute(), str(path.absolute()), writable=True) for path in writable)
        result = self.run(command, Confinement(binds=binds), output=printed.extend, cancel=cancel or Event())
        if result.ended_by is EndReason.CANCEL:
            raise Retryable(f"{command[0]}: was canceled", code="canceled")
        if result.status != 0:
            shown = bytes(printed[-_MAX_OUTPUT_BYTES:]).decode(errors="replace").strip()
            raise Retryable(f"{' '.join(command)}: exit status {result.status}\n{shown}", code="sandbox-tool")
