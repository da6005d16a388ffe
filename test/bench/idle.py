"""idle.*: what `cb-ctl up` with the embedded broker costs while nothing happens, and how soon it reacts to a request.

All processes of the mesh together: the supervisor with the broker, and five daemons. `idle.rss` counts what they share
once for each, `idle.pss` once. The baseline of memory is as many interpreters with what every daemon has to load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import dispatch
from bench.figures import Figure, figure, percentile
from bench.footprint import BARE, BARE_NAME
from bench.mesh import BenchMesh
from bench.processes import MB, TICKS, Program, directory, python
from cloud_builder.wiring import rundir

CTL = str(Path(sys.executable).with_name("cb-ctl"))
SETTLED_AFTER = 5.0


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    seconds, samples = max(5.0, 60 * scale), max(20, int(200 * scale))
    progress(f"{seconds:g} s of idleness, then {samples} single jobs")
    with directory("bare") as home, _up() as (mesh, pids):
        bare = Program("bare", python("-c", BARE), home)
        time.sleep(SETTLED_AFTER)
        before = _cpu(pids)
        time.sleep(seconds)
        used = (_cpu(pids) - before) / seconds
        yield figure("idle.cpu", [used], "cores")
        for name, field in (("rss", "Rss:"), ("pss", "Pss:")):
            plain = len(pids) * _memory(bare.pid, field)
            yield figure(f"idle.{name}", [sum(_memory(pid, field) for pid in pids)], "MB", [plain], BARE_NAME)
        bare.end()
        latencies = dispatch.latency(mesh, samples)
        for name, part in (("p50", 0.50), ("p99", 0.99)):
            yield figure(f"idle.latency_{name}", [percentile(latencies, part)], "s")


@contextmanager
def _up() -> Iterator[tuple[BenchMesh, list[int]]]:
    """Yields a mesh as users start it, except that its runner builds nothing, and the ids of its processes."""
    with directory("idle") as home:
        own = {"CB_HOME": str(home), "CB_RUNNER__SIMULATE": "0.001"}
        environment = {**{name: value for name, value in os.environ.items() if not name.startswith("CB_")}, **own}

        def ctl(*words: str) -> None:
            subprocess.run([CTL, *words], env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)

        ctl("up", "--detach", "--broker", "embedded", "--port", "0")
        try:
            up, broker = rundir.running_mesh(home), rundir.broker_of(home)
            if up is None or broker is None:
                raise RuntimeError("the mesh ended")
            mesh = BenchMesh(home, broker)
            yield mesh, [process.pid for process in (up.supervisor, *up.children)]
            mesh.close()
        finally:
            ctl("down")


def _cpu(pids: list[int]) -> float:
    """Returns the seconds of CPU that these processes, and children that they waited for, have used so far."""
    lines = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field) for fields in lines for field in fields[11:15]) / TICKS


def _memory(pid: int, field: str) -> float:
    """Returns a field of smaps_rollup (proc(5)) in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(field))
