"""load.*: many runners on one machine, and daemons that have worked for long.

load.runners_20   jobs per second with 20 runners of one slot beside 4 with 100: placement and heartbeats cost
load.<daemon>.rss_after_100000   memory after 100,000 no-op jobs beside that after 10,000: it shall not grow"""

from __future__ import annotations

from collections.abc import Iterator

from bench import dispatch
from bench.figures import Figure, figure
from bench.mesh import running

BLOCK = 5000
"""Jobs of one request. Requests end during the run, so that memory that they leave is measured."""
DAEMONS = ("scheduler", "runner-1")


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    many, few = max(50, int(2000 * scale)), max(50, int(5000 * scale))
    progress(f"{many} jobs on 20 runners with one slot")
    with running(20, 1) as mesh:
        many_runners = [dispatch.throughput(mesh, many) for _ in range(3)]
    early, late = int(10_000 * scale), int(100_000 * scale)
    block = min(BLOCK, max(50, early // 2))
    progress(f"{late} jobs in requests of {block}")
    with running(dispatch.RUNNERS, dispatch.SLOTS) as mesh:
        yield figure(
            "load.runners_20",
            many_runners,
            "1/s",
            [dispatch.throughput(mesh, few) for _ in range(2)],
            "4 runners with 100 slots",
        )
        before = _memory_after(mesh, max(0, early - 2 * few), block)
        after = _memory_after(mesh, late - early, block)
    for name in DAEMONS:
        role = name.partition("-")[0]
        yield figure(f"load.{role}.rss_after_{late}", [after[name]], "MB", [before[name]], f"after {early} jobs")


def _memory_after(mesh, jobs: int, block: int) -> dict[str, float]:
    for _ in range(max(1, jobs // block)):
        dispatch.throughput(mesh, block)
    return {name: mesh.programs[name].rss() for name in DAEMONS}
