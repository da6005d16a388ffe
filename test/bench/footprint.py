"""footprint.*: what the daemons cost while nothing happens, and at their largest under load.

The baseline is the interpreter with what every daemon has to load: confluent-kafka, pydantic, SQLite."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import dispatch
from bench.figures import Figure, figure
from bench.mesh import BenchMesh, running
from bench.processes import Program, directory, python

DAEMONS = ("request", "scheduler", "runner-1", "collector", "info")
BARE = "import confluent_kafka, pydantic, sqlite3; from signal import pause; pause()"
BARE_NAME = "python with confluent-kafka and pydantic"


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    seconds, jobs = max(3.0, 20 * scale), max(50, int(3000 * scale))
    with (
        directory("bare") as home,
        running(1, 50, CB_COLLECTOR__PORT="0", CB_COLLECTOR__PUBLIC_URL="http://127.0.0.1") as mesh,
    ):
        bare = Program("bare", python("-c", BARE), home)
        for name in ("request", "collector", "info"):
            mesh.start(name)
        dispatch.throughput(mesh, 20)
        time.sleep(3)
        cpu = {name: mesh.programs[name].cpu() for name in DAEMONS}
        time.sleep(seconds)
        for name in DAEMONS:
            program = mesh.programs[name]
            used = (program.cpu() - cpu[name]) / seconds
            yield figure(f"footprint.{_role(name)}.idle_rss", [program.rss()], "MB", [bare.rss()], BARE_NAME)
            yield figure(f"footprint.{_role(name)}.idle_cpu", [used], "cores")
        yield from _under_load(mesh, jobs, bare)
        bare.end()


def _under_load(mesh: BenchMesh, jobs: int, bare: Program) -> Iterator[Figure]:
    dispatch.throughput(mesh, jobs)
    for name in DAEMONS:
        largest = mesh.programs[name].largest_rss()
        yield figure(f"footprint.{_role(name)}.load_rss", [largest], "MB", [bare.rss()], BARE_NAME)


def _role(name: str) -> str:
    return name.partition("-")[0]
