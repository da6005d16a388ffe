"""dispatch.*: no-op jobs from an accepted request through scheduler and runners to its end, on a real Kafka.

Beside the very same messages in bare confluent-kafka loops (what the broker and the client library allow at all), and
the same number of no-op tasks in dramatiq and Celery on Redis (what a user might pick instead)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import bare_loop, task_queues
from bench.figures import Figure, figure, percentile
from bench.mesh import BenchMesh, running
from bench.processes import Skipped
from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import RequestOutcome

RUNNERS, SLOTS = 4, 100
BARE = "bare confluent-kafka loop of the same messages"


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    """`scale`: of the usual numbers of jobs and samples; below 1 for a try."""
    jobs, samples, runs = max(50, int(5000 * scale)), max(20, int(200 * scale)), 3
    progress(f"{runs} x {jobs} no-op jobs, {RUNNERS} runners with {SLOTS} slots; {samples} single jobs")
    with running(RUNNERS, SLOTS) as mesh:
        throughput(mesh, jobs)  # warms up: Kafka compiles what it does often
        latencies = latency(mesh, samples)
        rates = [throughput(mesh, jobs) for _ in range(runs)]
        recorded = record(mesh, jobs)
    with running(RUNNERS, SLOTS, CB_DISPATCH=Dispatch.SHARED_QUEUE) as mesh:
        throughput(mesh, jobs)
        shared = [throughput(mesh, jobs) for _ in range(runs)]
    bare_rates, bare_latencies = bare_loop.measure(bare_loop.Load(RUNNERS, SLOTS, samples, runs, recorded))
    yield figure("dispatch.throughput", rates, "1/s", bare_rates, BARE)
    yield figure("dispatch.shared_queue", shared, "1/s", rates, "directed dispatch")
    for name, part in (("p50", 0.50), ("p99", 0.99)):
        value, base = percentile(latencies, part), percentile(bare_latencies, part)
        yield figure(f"dispatch.latency_{name}", [value], "s", [base], BARE)
    for queue in (task_queues.dramatiq, task_queues.celery):
        try:
            found = queue(jobs, samples, runs)
        except Skipped as why:
            progress(f"left out: {queue.__name__} on Redis: {why}")
            continue
        yield figure(f"dispatch.throughput/{queue.__name__}", rates, "1/s", found.rates, f"{queue.__name__} on Redis")
        for name, part in (("p50", 0.50), ("p99", 0.99)):
            value, base = percentile(latencies, part), percentile(found.latencies, part)
            yield figure(
                f"dispatch.latency_{name}/{queue.__name__}", [value], "s", [base], f"{queue.__name__} on Redis"
            )


def throughput(mesh: BenchMesh, jobs: int) -> float:
    """Returns jobs per second, from sending a request with so many jobs to reading its end."""
    units = mesh.announce(jobs)
    watch = mesh.watch("cb.result")
    started = time.monotonic()
    finished = watch.until_finished(mesh.accept(*units), 120.0)
    seconds = time.monotonic() - started
    watch.close()
    records = len(finished.jobs) + finished.left_out
    if finished.outcome is not RequestOutcome.SUCCESS or records != jobs:
        raise RuntimeError(f"a request with {jobs} jobs ended with {records}: {finished.outcome} {finished.message}")
    return jobs / seconds


def record(mesh: BenchMesh, jobs: int) -> bare_loop.Recorded:
    """Returns the records that scheduler and runners send for so many jobs, by kind."""
    topics = ("cb.assignment", "cb.attempt", "cb.job", "cb.state")
    since = mesh.ends(topics)
    throughput(mesh, jobs)
    assignments, attempts, *beside = (mesh.records_on(topic, since) for topic in topics)
    return bare_loop.Recorded.of(assignments, attempts, [one for records in beside for one in records])


def latency(mesh: BenchMesh, samples: int) -> list[float]:
    """Returns the seconds from sending an accepted request to reading the start of its job, one at a time."""
    units = mesh.announce(samples)
    watch, results = mesh.watch("cb.attempt"), mesh.watch("cb.result")
    found = []
    for unit in units:
        started = time.monotonic()
        name = mesh.accept(unit)
        while not any(
            isinstance(event, e.AttemptStarted) and event.job_id.startswith(f"{name}.") for event in watch.next(20.0)
        ):
            pass
        found.append(time.monotonic() - started)
        results.until_finished(name, 20.0)
    watch.close()
    results.close()
    return found
