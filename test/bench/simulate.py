"""The planning code on simulated runners (`runner_simulation.py`): all of Debian on 1,000 slots, and many tenants.

All is seeded. Build times are heavy-tailed: lognormal, its scale another one for each package. What the scheduler
expects is what such a build took the last time, so it is wrong by a quarter, up or down.

The makespan stands beside its lower bound, the greater of the critical path and of all work divided by all slots; the
tenants stand beside a queue that knows neither tenants nor classes nor ways (first come, first served)."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.figures import Figure, figure, percentile
from bench.plan import debian_index
from bench.plan_debian import DEBIAN, units_of
from bench.processes import Skipped, directory
from bench.runner_simulation import FaultRates, Planner, RunnerSimulation, first_come, jain
from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import JobId, RequestId, Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.outcome import Kind
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import Target, Unit
from cloud_builder.planning.attempt.transitions import RetryPolicy
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Node, Origin, SourceSnapshot
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.request.expand import BuildHistory, expand
from cloud_builder.planning.schedule.match import queued_job
from cloud_builder.planning.schedule.queue import QueuedJob, QueuePolicy

SEED = 20260
TARGETS = tuple(Target(name=f"{dist}.x86_64", dist=dist, arch="x86_64") for dist in ("bookworm", "trixie", "sid"))
RUNNERS, SLOTS = 250, 4
MEDIAN, SPREAD, SHAKE, LONGEST = 75.0, 1.1, 0.25, 5 * 3600.0
"""Seconds; sigmas of the lognormals of packages, and of one build of a package."""
POLICY = RetryPolicy(max_errors=5, delay=2.0)

TENANTS, TENANT_RUNNERS = 12, 2000
FAULTS = FaultRates(error=0.01, bad=0.9, bad_runners=20, up=24 * 3600.0)
AGEING = 1800.0


def measure(progress: Callable[[str], None], scale: float) -> Iterator[Figure]:
    yield from _world(progress, scale)
    yield from _tenants(progress, scale)


# --- the whole of Debian ----------------------------------------------------------------------------------------------


def _world(progress: Callable[[str], None], scale: float) -> Iterator[Figure]:
    jobs = _debian(progress, scale)
    random = Random(SEED)
    takes = {job.job_id: min(LONGEST, job.expected_seconds * random.lognormvariate(0.0, SHAKE)) for job in jobs}
    simulation = RunnerSimulation(Planner(QueuePolicy(), POLICY, queued_job), lambda job: takes[job.job_id], random)
    runners = max(1, round(RUNNERS * scale))
    simulation.set_up(runners, SLOTS)
    simulation.arrive(0.0, jobs)
    makespan = simulation.run(lambda: simulation.planner.finished == len(jobs))
    work, path = sum(takes.values()) / (runners * SLOTS), _critical_path(jobs, takes)
    progress(
        f"{len(jobs)} jobs on {runners * SLOTS} slots: {makespan / 3600:.2f} h; work ÷ slots {work / 3600:.2f} h,"
        f" critical path {path / 3600:.2f} h"
    )
    yield figure("simulate.makespan_ratio", [makespan / max(work, path)], "x", [1.0], "lower bound")
    yield figure("simulate.cpu_per_job", [simulation.cpu / len(jobs)], "s")


def _debian(progress: Callable[[str], None], scale: float) -> list[JobRecord]:
    """All of it, as the jobs of one request; a part of it for a smaller scale. Built with what is published, so each
    member of a cycle is built once."""
    with directory("simulate") as work:
        try:
            units = list({unit.path: unit for unit in units_of(debian_index(work))}.values())
        except Skipped as why:
            progress(f"a graph of the same shape is made up: {why}")
            units = list(_made_up(34_000))
    units = units[: max(10, round(len(units) * scale))]
    whole = build_graph([SourceSnapshot(DEBIAN, Origin("", Revision("")), [_everywhere(unit) for unit in units])])
    random = Random(SEED)
    last = {unit.path: min(LONGEST, random.lognormvariate(0.0, SPREAD) * MEDIAN) for unit in units}
    request = RequestAccepted(
        request_id=RequestId("world"),
        source=DEBIAN,
        ref="main",
        revision=Revision(""),
        units=tuple(last),
        publish=False,
        priority=Priority.BULK,
        accepted_at=0.0,
    )
    past = BuildHistory(is_published=lambda target, alternative: True, expected=lambda node: last[_path(node)])
    return expand(request, whole, 1, past, rounds=1)


def _path(node: Node) -> UnitPath:
    return node.unit


def _everywhere(unit: Unit) -> Unit:
    return unit.model_copy(update={"targets": TARGETS})


def _made_up(count: int) -> Iterator[Unit]:
    """Returns made-up units: a few that very many need, many that none needs. Each needs seven, mostly early ones."""
    random = Random(SEED)
    for number in range(count):
        needs = sorted({int(number * random.random() ** 4) for _ in range(7)} if number else ())
        yield _unit(f"u{number}", ", ".join(f"u{need}" for need in needs))


def _unit(name: str, needs: str = "") -> Unit:
    return Unit(
        path=UnitPath(name),
        directory=name,
        name=name,
        kind=Kind.PACKAGE,
        tree=TreeId("0" * 40),
        targets=TARGETS[:1],
        provides=(name,),
        build_depends=needs,
    )


def _critical_path(jobs: Sequence[JobRecord], takes: Mapping[JobId, float]) -> float:
    ends: dict[JobId, float] = {}
    for job in jobs:  # each after what it needs
        ends[job.job_id] = takes[job.job_id] + max((ends[need] for need in job.needs), default=0.0)
    return max(ends.values())


# --- many tenants -----------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """The fairness while every tenant had queued jobs: Jain's index of the slots of each, averaged over that
    time."""

    seconds: float = 0.0
    evenness: float = 0.0

    def note(self, simulation: RunnerSimulation, seconds: float) -> None:
        if all(simulation.planner.waiting[source] > 0 for source in _names()):
            self.seconds += seconds
            self.evenness += seconds * jain([simulation.busy[source] for source in _names()])

    @property
    def jain(self) -> float:
        return self.evenness / self.seconds if self.seconds else 1.0


def _tenants(progress: Callable[[str], None], scale: float) -> Iterator[Figure]:
    ours, theirs = (
        _shared(progress, scale, name, make_entry) for name, make_entry in (("", queued_job), ("fifo", first_come))
    )
    base = "first come, first served"
    yield figure("simulate.fairness", [ours["jain"]], "Jain", [theirs["jain"]], base)
    for priority in Priority:
        yield figure(f"simulate.wait_{priority}", [ours[priority]], "s", [theirs[priority]], base)
    yield figure("simulate.cpu_per_job_faults", [ours["cpu"]], "s")


def _shared(
    progress: Callable[[str], None], scale: float, name: str, make_entry: Callable[[JobRecord], QueuedJob]
) -> dict[str, float]:
    """Equal tenants of very different habits in a simulation with faults. Waits are the 95th percentile of a
    class, in seconds."""
    random, log = Random(SEED), Log()
    simulation = RunnerSimulation(
        Planner(QueuePolicy(ageing=AGEING), POLICY, make_entry), _takes, random, FAULTS, on_step=log.note
    )
    simulation.set_up(max(10, round(TENANT_RUNNERS * scale)), 1)
    total = 0
    for sequence, (when, jobs) in enumerate(_arrivals(random, scale), 1):
        simulation.arrive(when, [job.model_copy(update={"sequence": sequence}) for job in jobs])
        total += len(jobs)
    simulation.run(lambda: simulation.planner.finished == total)
    waits: dict[Priority, list[float]] = defaultdict(list)
    for job in simulation.planner.jobs.values():
        waits[job.priority].append(simulation.started[job.job_id] - job.queued_at)
    waits_95: dict[str, float] = {priority: percentile(found, 0.95) for priority, found in waits.items()}
    waits_95 |= {"jain": log.jain, "cpu": simulation.cpu / total}
    summary = ", ".join(
        f"{one} {statistics.median(found):.0f}/{waits_95[one]:.0f} s" for one, found in sorted(waits.items())
    )
    progress(f"{name or 'ours'}: {total} jobs in {simulation.now / 3600:.1f} h; waits (median/95 %): {summary}")
    return waits_95


def _names() -> list[SourceName]:
    return [SourceName(f"tenant-{number}") for number in range(TENANTS)]


def _takes(job: JobRecord) -> float:
    return job.expected_seconds


def _arrivals(random: Random, scale: float) -> list[tuple[float, list[JobRecord]]]:
    """Yields the work of tenants: bulk floods a minute apart, each with its build time; pushes; interactive jobs."""
    found, few = [], min(1.0, scale)
    for number, source in enumerate(_names()):
        length = 60.0 * 1.35**number
        flood = round(scale * 8e6 / TENANTS / length)
        found.append((60.0 * number, _jobs(random, source, f"w{number}", Priority.BULK, count=flood, length=length)))
        when = 0.0
        for turn in range(20):
            when += random.expovariate(1 / 250.0)
            urgent = random.random() < 0.5
            size = 1 + int(random.paretovariate(1.2)) if urgent else int(1 + 20 * few * random.paretovariate(1.1))
            priority = Priority.INTERACTIVE if urgent else Priority.NORMAL
            found.append(
                (when, _jobs(random, source, f"p{number}.{turn}", priority, count=min(size, 300), length=60.0))
            )
    return sorted(found, key=lambda one: one[0])


def _jobs(
    random: Random, source: SourceName, request: str, priority: Priority, *, count: int, length: float
) -> list[JobRecord]:
    shared: dict[str, Any] = {"source": source, "url": "", "revision": Revision(""), "kind": Kind.PACKAGE}
    lengths = [min(LONGEST, length * random.lognormvariate(0.0, SPREAD)) for _ in range(count)]
    return [
        JobRecord(
            job_id=JobId(f"{request}.{number}"),
            request_id=RequestId(request),
            number=number,
            sequence=0,
            unit=UnitPath(f"u{number}"),
            directory="",
            name=f"u{number}",
            tree=TreeId("0" * 40),
            target=TARGETS[0],
            priority=priority,
            expected_seconds=seconds,
            critical_path=seconds,
            **shared,
        )
        for number, seconds in enumerate(lengths, 1)
    ]
