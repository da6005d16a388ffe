"""Reads the control groups of builds while builds run: they no longer exist afterwards."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from page import LIMITS
from shell import must
from units import RUNNER

SLICE = Path("/sys/fs/cgroup/system.slice/system-cb\\x2drunner.slice") / RUNNER
STAGE = 2
"""Processes of the sandbox itself that pids.max allows on top."""
FILES = ("memory.max", "memory.swap.max", "memory.peak", "memory.events", "pids.max", "pids.peak", "pids.events")
PAUSE = 0.05


@dataclass
class Watching:
    """A thread that reads the groups. `groups`: by name, the last content; `members`: the commands seen in it."""

    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watching:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            for group in SLICE.glob("cb-build-*"):
                self._look(group)
            time.sleep(PAUSE)

    def _look(self, group: Path) -> None:
        known = self.groups.setdefault(group.name, {})
        for file in FILES:
            with contextlib.suppress(OSError):
                known[file] = (group / file).read_text().strip()
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                self._meet(group.name, Path("/proc") / pid)

    def _meet(self, group: str, process: Path) -> None:
        with contextlib.suppress(OSError):
            self.members.setdefault(group, set()).add((process / "comm").read_text().strip())


def limits_in_force(seen: Watching) -> str:
    """Checks that each group had its limits, that the build ran in one, and that none is left."""
    expected = {
        "memory.max": str(LIMITS["memory"]),
        "memory.swap.max": "0",
        "pids.max": str(LIMITS["processes"] + STAGE),
    }
    whole = {name: known for name, known in seen.groups.items() if known.keys() >= expected.keys()}
    must(bool(whole), f"no control group of a build was seen below {SLICE}")
    for name, known in whole.items():
        found = {file: known[file] for file in expected}
        must(found == expected, f"{name}: {found} instead of {expected}")
    inside = set().union(*seen.members.values())
    must(
        bool(inside & {"dpkg-buildpackage", "dpkg-buildpacka"}),
        f"dpkg-buildpackage was in no group, only {sorted(inside)}",
    )
    nothing_left()
    return f"{len(whole)} groups of runs seen, each with memory.max and pids.max of the settings; none left"


def nothing_left() -> None:
    left = [path.name for path in SLICE.iterdir() if path.is_dir() and path.name != "cb-runner"]
    must(not left, f"control groups left behind: {left}")
    own = (SLICE / "cgroup.procs").read_text().split()
    must(not own, f"processes in the runner's own group, beside its children: {own}")
