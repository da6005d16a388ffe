"""Control groups (cgroup v2), where the machine has delegated one to us: exact limits on memory and processes.

systemd delegates with `Delegate=yes`, a container with a writable cgroup namespace. Comes in: limits. Goes out: a group
for one run, and what the kernel refused in it. Without delegation there are none, and the watch does what it can.
Must never touch a group outside of our own, or leave one behind. cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
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
"""Where we ourselves go: a group with controllers for its children must have no process of its own."""
_PREFIX = "cb-build-"
_STAGE = 2
"""Processes that are ours: the launcher and pid 1."""
_TRIES = 20
"""So often what was started meanwhile is moved, too."""
_REMOVED_WITHIN = 2.0
_PERIOD = 100_000
"""Microseconds, of cpu.max."""


@dataclass(frozen=True)
class RunCgroup:
    """Of one run. `path` is its directory."""

    path: Path

    def add(self, pid: int) -> None:
        """A process and, from now on, all that it starts. Nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            _write(self.path / "cgroup.procs", str(pid))

    def reached(self) -> EndReason | None:
        """The limit at which the kernel has killed one of its processes, or refused it one."""
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
    """Thread-safe. `mount` and `own` are the kernel's, but for tests."""

    def __init__(self, mount: Path = MOUNT, own: Path = _OWN) -> None:
        self._mount, self._own = mount, own
        self._lock = threading.Lock()
        self._looked, self._base = False, None

    _base: Path | None

    def base(self) -> Path | None:
        """The group that our runs' groups are made in; None: nothing is delegated to us. Moves us into a leaf of it."""
        with self._lock:
            if not self._looked:
                self._base, self._looked = self._find(), True
            return self._base

    @contextlib.contextmanager
    def one(self, name: str, limits: Limits | None) -> Iterator[RunCgroup | None]:
        """A group for one run with its limits, gone at the end; None where there are no groups."""
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
            if not _words(base / "cgroup.controllers") >= _NEEDED or not _ours(base):
                return None
            if not _words(base / "cgroup.subtree_control") >= _NEEDED:
                _settle(base)
        except (OSError, StopIteration):
            return None
        for left in base.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # In use by a living runner.
                left.rmdir()
        return base


def _settings(limits: Limits, *, cpu: bool) -> dict[str, str]:
    settings = {
        "memory.max": str(limits.memory),
        "pids.max": str(limits.processes + _STAGE),
    }
    if limits.cpu and cpu:
        settings["cpu.max"] = f"{limits.cpu * _PERIOD} {_PERIOD}"
    return settings


def _ours(base: Path) -> bool:
    return all(os.access(path, os.W_OK) for path in (base, base / "cgroup.procs", base / "cgroup.subtree_control"))


def _settle(base: Path) -> None:
    """Moves us into a leaf and hands controllers down. OSError, and all as it was, when others live in the group that
    we may not move."""
    leaf, us = base / _LEAF, str(os.getpid())
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", us)
    try:
        _hand_down(base, leaf)
    except OSError:
        _write(base / "cgroup.procs", us)
        with contextlib.suppress(OSError):
            leaf.rmdir()
        raise
    with contextlib.suppress(OSError):
        _write(base / "cgroup.subtree_control", "+cpu")


def _hand_down(base: Path, leaf: Path) -> None:
    """The kernel refuses it (EBUSY) while one of our children is still, or again, beside the leaf."""
    for tries_left in reversed(range(_TRIES)):
        if _is_delegated(base):
            _move_all(base / "cgroup.procs", leaf / "cgroup.procs")
        try:
            _write(base / "cgroup.subtree_control", "+memory +pids")
            return
        except OSError as refused:
            if refused.errno != errno.EBUSY or not tries_left:
                raise


def _is_delegated(base: Path) -> bool:
    """What an ordinary user may write to was given to it; root may write to all, and systemd marks what it gives."""
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
    """The kernel lets go of a group a moment after its last process."""
    with contextlib.suppress(OSError), (path / "cgroup.kill").open("r+") as kill:
        kill.write("1")
    deadline = time.monotonic() + _REMOVED_WITHIN
    while path.exists():
        try:
            path.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)
