"""A build that takes many times its lease and the time it may be silent keeps its runner: one attempt, no alarm."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def test_a_build_much_longer_than_its_lease_is_one_attempt(long_lived, sizes):
    mesh = long_lived
    before = {name: _cpu(mesh.pid(name)) for name in ("scheduler", "runner-1", "info")}
    [job] = mesh.request("packages/patient")["jobs"]
    assert (job["outcome"], job["attempt"]) == ("success", 1), mesh.logs()
    used = {name: round((_cpu(mesh.pid(name)) - cpu) / sizes.seconds, 4) for name, cpu in before.items()}
    print(f"{sizes.seconds} s of build; cores used meanwhile: {used}")
    assert job["timings"]["build"] >= sizes.seconds
    assert "lost" not in (mesh.home / "log" / "scheduler.log").read_text()


def _cpu(pid: int) -> float:
    """Seconds of the process itself; what it started is not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
