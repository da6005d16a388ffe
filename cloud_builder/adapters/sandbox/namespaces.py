"""The port `Sandbox` by Linux namespaces: a user namespace of its own for every run, so that no root is needed.

Comes in: a command and its confinement, or a tree to delete, pack or unpack. Goes out: how it ended. Must never leave
a process or a mount behind, whatever happens to this process; what remains on disk after a kill is swept at the next
start.
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
_REMOVE_AGAIN = (0.1, 0.4, 0.0)
"""Seconds after each try that failed; 0: the last one."""
_SAID = 4000
"""Bytes of output that an error of an archive tool shows at most."""


class NamespaceSandbox:
    """Thread-safe. `work`: where thrown-away changes lie while a run lasts; default: /var/tmp/cloud-builder-<uid>."""

    def __init__(self, work: Path | None = None, groups: Cgroups | None = None) -> None:
        self._work = work or scratch.default_work_directory()
        self._turn = count()
        self._groups = groups or Cgroups()

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
            scratch.side_directory(*self._place(confinement.upper)) as side,
            self._groups.one(side.name.lstrip("."), limits) as group,
        ):
            spec = self._spec(command, confinement, side, terminal=stdin == 0)
            return StageSession(spec, ids, limits, group, output).hold(cancel, stdin)

    def remove(self, path: Path) -> None:
        """Tried again: what was killed a moment ago may still have written into it. On a disk without room for the
        side directory the removing itself is run from memory."""
        command = ["rm", "-rf", "--", str(path)]
        for pause in _REMOVE_AGAIN:
            if not (path.is_symlink() or path.exists()):
                return
            try:
                self._tool(command, path.parent)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                NamespaceSandbox(scratch.memory_work_directory(), self._groups)._tool(command, path.parent)  # noqa: SLF001
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
        """Deletes what runs of a killed process left in the work directory. Finds our control group, too, as long as we
        have started nothing that would have to move."""
        self._groups.base()
        scratch.prepare(self._work)
        for work in (self._work, scratch.memory_work_directory()):
            for side in abandoned_directories(work, f"{scratch.SIDE_PREFIX}*"):
                self.remove(side)

    def _place(self, upper: Path | None) -> tuple[Path, str]:
        """The side directory lies on the same file system as the changes: overlayfs wants it."""
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

    def _cpus(self, wanted: int) -> list[int]:
        """Runs that may use some of the cores get different ones in turn. Empty: all."""
        cores = sorted(os.sched_getaffinity(0))
        if not 0 < wanted < len(cores):
            return []
        first = next(self._turn) * wanted
        return [cores[(first + number) % len(cores)] for number in range(wanted)]

    def _tool(self, command: list[str], *writable: Path, cancel: Event | None = None) -> None:
        """A program of the machine, with the ids as seen inside."""
        for program in {command[0], *(("zstd",) if "-I" in command else ())}:
            if shutil.which(program) is None:
                raise no_program(program, package_of(program))
        said = bytearray()
        binds = tuple(Bind(path.absolute(), str(path.absolute()), writable=True) for path in writable)
        ended = self.run(command, Confinement(binds=binds), output=said.extend, cancel=cancel or Event())
        if ended.ended_by is EndReason.CANCEL:
            raise Retryable(f"{command[0]}: was canceled", code="canceled")
        if ended.status != 0:
            told = bytes(said[-_SAID:]).decode(errors="replace").strip()
            raise Retryable(f"{' '.join(command)}: exit status {ended.status}\n{told}", code="sandbox-tool")
