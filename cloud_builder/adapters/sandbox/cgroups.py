"""Control groups (cgroup v2): exact limits on memory and processes, where the machine delegates a group to the runner.

systemd delegates with `Delegate=yes`, a container with a writable cgroup namespace. Without delegation there are no
groups, and the limit monitor enforces the limits by samples.
Input: limits. Output: a group for one run, and the limit at which the kernel intervened in it. Must not change a group
outside of the delegated one, or leave one behind. cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndReason

MOUNT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NEEDED = frozenset({"memory", "pids"})
_LEAF = "cb-runner"
"""The group that the runner moves into: a group with controllers for its children must not contain processes."""
_PREFIX = "cb-build-"
_STAGE_PROCESSES = 2
"""The launcher and pid 1, which count with the processes of a run."""
_MAX_TRIES = 20
"""How often processes are moved that were started in the meantime."""
_REMOVE_TIMEOUT = 2.0
_CPU_PERIOD = 100_000
"""Microseconds, of cpu.max."""


@dataclass(frozen=True)
class RunCgroup:
    """The control group of one run. `path` is its directory."""

    path: Path

    def add(self, pid: int) -> None:
        """Moves a process into the group; its future children belong to it, too. Ignores ended processes."""
        with contextlib.suppress(ProcessLookupError):
            _write(self.path / "cgroup.procs", str(pid))

    def reached(self) -> EndReason | None:
        """Returns the limit at which the kernel killed a process of the group, or refused to start one."""
        if self._count("memory.events", "oom_kill"):
            return EndReason.MEMORY
        return EndReason.PROCESSES if self._count("pids.events", "max") else None

    def _count(self, file: str, key: str) -> int:
        try:
            lines = (self.path / file).read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)


class Cgroups:
    """The control groups of a runner. Thread-safe. Tests replace `mount` and `own`, files of the kernel."""

    def __init__(self, mount: Path = MOUNT, own: Path = _OWN) -> None:
        self._mount, self._own = mount, own
        self._lock = threading.Lock()
        self._is_searched = False
        self._base: Path | None = None

    def base(self) -> Path | None:
        """Returns the delegated group, the parent of the runs' groups; None: no group is delegated.

        The first call moves this process into a leaf of it."""
        with self._lock:
            if not self._is_searched:
                self._base, self._is_searched = self._find(), True
            return self._base

    @contextlib.contextmanager
    def for_run(self, name: str, limits: Limits | None) -> Iterator[RunCgroup | None]:
        """Yields a group with these limits, removed at the end; None: without limits or without a delegated group."""
        base = self.base()
        if base is None or limits is None:
            yield None
            return
        group = RunCgroup(base / f"{_PREFIX}{name}")
        group.path.mkdir()
        try:
            for file, value in _settings(limits, cpu="cpu" in _words(base / "cgroup.subtree_control")).items():
                (group.path / file).write_text(value, encoding="ascii")
            with contextlib.suppress(OSError):  # A kernel without swap has no such file.
                (group.path / "memory.swap.max").write_text("0", encoding="ascii")
            yield group
        finally:
            _remove(group.path)

    def _find(self) -> Path | None:
        try:
            lines = self._own.read_text(encoding="ascii").splitlines()
            path = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
            own = self._mount / path.lstrip("/")
            base = own.parent if own.name == _LEAF else own
            if not _words(base / "cgroup.controllers") >= _NEEDED or not _is_writable(base):
                return None
            if not _words(base / "cgroup.subtree_control") >= _NEEDED:
                _enable_controllers(base)
        except (OSError, StopIteration):
            return None
        for leftover in base.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # In use by another runner that is running.
                leftover.rmdir()
        return base


def _settings(limits: Limits, *, cpu: bool) -> dict[str, str]:
    settings = {
        "memory.max": str(limits.memory),
        "pids.max": str(limits.processes + _STAGE_PROCESSES),
    }
    if limits.cpu and cpu:
        settings["cpu.max"] = f"{limits.cpu * _CPU_PERIOD} {_CPU_PERIOD}"
    return settings


def _is_writable(base: Path) -> bool:
    return all(os.access(path, os.W_OK) for path in (base, base / "cgroup.procs", base / "cgroup.subtree_control"))


def _enable_controllers(base: Path) -> None:
    """Moves this process into a leaf and enables controllers for the children of the group.

    Raises OSError when the group contains processes that may not be moved; everything is then as before."""
    leaf, own_pid = base / _LEAF, str(os.getpid())
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", own_pid)
    try:
        _enable_memory_and_pids(base, leaf)
    except OSError:
        _write(base / "cgroup.procs", own_pid)
        with contextlib.suppress(OSError):
            leaf.rmdir()
        raise
    with contextlib.suppress(OSError):
        _write(base / "cgroup.subtree_control", "+cpu")


def _enable_memory_and_pids(base: Path, leaf: Path) -> None:
    """Tries again while the kernel refuses with EBUSY: a child of this process is in the group, beside the leaf."""
    for tries_left in reversed(range(_MAX_TRIES)):
        if _is_delegated(base):
            _move_all(base / "cgroup.procs", leaf / "cgroup.procs")
        try:
            _write(base / "cgroup.subtree_control", "+memory +pids")
            return
        except OSError as error:
            if error.errno != errno.EBUSY or not tries_left:
                raise


def _is_delegated(base: Path) -> bool:
    """True if the group was delegated to this user.

    An ordinary user may write only to delegated groups. Root may write to all groups; systemd marks delegated ones."""
    if os.geteuid() != 0:
        return True
    with contextlib.suppress(OSError):
        return os.getxattr(base, "trusted.delegate") == b"1"
    return False


def _move_all(source: Path, target: Path) -> None:
    for pid in source.read_text(encoding="ascii").split():
        with contextlib.suppress(ProcessLookupError):
            _write(target, pid)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="ascii")


def _words(file: Path) -> frozenset[str]:
    return frozenset(file.read_text(encoding="ascii").split())


def _remove(path: Path) -> None:
    """Removes a group. The kernel allows it a moment after the last process of the group has ended."""
    with contextlib.suppress(OSError), (path / "cgroup.kill").open("r+") as kill:
        kill.write("1")
    give_up_at = time.monotonic() + _REMOVE_TIMEOUT
    while path.exists():
        try:
            path.rmdir()
        except OSError:
            if time.monotonic() > give_up_at:
                return
            time.sleep(0.002)
