"""restart.*: how soon a scheduler is ready whose state holds a million finished jobs, beside one with an empty state.

The state is written as the scheduler writes it (its records, its collections, the ids of seen events), without the
mesh; then the real daemon starts on it, with a real Kafka, until it reports to systemd that it is ready."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import takeover
from bench.figures import Figure, figure
from bench.mesh import TARGET, Program, kafka
from bench.processes import directory, python
from cloud_builder.adapters.sqlite.state import SqliteState
from cloud_builder.flow.scheduler import job_store
from cloud_builder.flow.scheduler.state import SchedulerState
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.outcome import JobState, Kind, Outcome
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.planning.records import BuildResult, JobRecord, JobStatus, RequestRecord
from cloud_builder.ports.state import Put

JOBS, PER_REQUEST, OPEN = 1_000_000, 1000, 200
SERIAL = "0123456789ab"
"""The part of the template that is replaced in each document."""
READY_WITHIN = 120.0


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    jobs = max(PER_REQUEST, int(JOBS * scale))
    with directory("restart") as home, kafka() as broker:
        began = time.monotonic()
        fill(home / "full" / "scheduler" / "state.sqlite", jobs)
        size = (home / "full" / "scheduler" / "state.sqlite").stat().st_size / 1e6
        progress(
            f"{jobs} finished jobs, {size:.0f} MB, written in {time.monotonic() - began:.0f} s; {OPEN} jobs are open"
        )
        runs, cpu = zip(*(start(home / "full", broker) for _ in range(3)), strict=True)
        empty, _ = zip(*(start(home / f"empty-{number}", broker) for number in range(3)), strict=True)
        name = "restart.million" if jobs == JOBS else f"restart.{jobs}"
        yield figure(name, runs, "s", empty, "the same with an empty state")
        yield figure(f"{name}_cpu", cpu, "s")
    with directory("takeover") as home, kafka() as broker:
        yield from takeover.measure(home, broker)
    with directory("rebuild") as home, kafka() as broker:
        some = max(PER_REQUEST, jobs // 10)
        takeover.write_changelog(broker, _all_documents(some))
        seconds, used = start(home / "fresh", broker)
    yield figure(f"restart.rebuild_{some}", [seconds], "s")
    yield figure(f"restart.rebuild_{some}_cpu", [used], "s")


def fill(path: Path, jobs: int) -> None:
    """Writes finished requests of a thousand jobs each, and one open request."""
    state = SqliteState(path)
    like = Like.made()
    for number in range(jobs // PER_REQUEST):
        with state.transaction():
            state.put_all(_documents(f"{number:012x}", number, PER_REQUEST, like, "done"))
            events = [f"01890000-0000-7000-8000-{number * PER_REQUEST + one:012x}" for one in range(PER_REQUEST)]
            state.mark_seen(events, time.time())
    with state.transaction():
        state.put_all(_documents("f" * 12, jobs, OPEN, like, "open"))
        state.put("counters", "request", {"last": jobs})
    opened = SchedulerState(state)
    open_jobs = opened.jobs.by_id
    if len(open_jobs) != OPEN or next(iter(open_jobs.values())).state is not JobState.QUEUED:
        raise RuntimeError("the state is not what a scheduler writes")
    state.close()


class Like(NamedTuple):
    """Templates: the JSON of one document of each kind, with SERIAL where documents differ."""

    job: str
    status: str
    request: str
    built: str

    @classmethod
    def made(cls) -> Like:
        job, request, built = _records()
        begun = job.model_copy(update={name: field.default for name, field in JobStatus.model_fields.items()})
        begun = begun.model_copy(update={"state": JobState.QUEUED, "queued_at": 1.7e9})
        return cls(
            CachedJson(begun).json, CachedJson(job, JobStatus).json, CachedJson(request).json, CachedJson(built).json
        )


def _all_documents(jobs: int) -> Iterator[Put]:
    like = Like.made()
    for number in range(jobs // PER_REQUEST):
        yield from _documents(f"{number:012x}", number, PER_REQUEST, like, "done")


def _documents(serial: str, number: int, size: int, like: Like, parent: str) -> Iterator[Put]:
    """Returns the documents of one request: its jobs, and, when it is finished, status and result of each."""
    name, now = f"r-{serial}", time.time()
    ids = [f"{name}.{one}" for one in range(1, size + 1)]
    whole = json.dumps({**json.loads(like.request.replace(SERIAL, serial)), "jobs": ids})
    yield Put("requests", name, CachedJson.ready(whole), parent, now if parent == "done" else number)
    for first in range(1, size + 1, job_store.JOBS_PER_DOCUMENT):
        numbers = range(first, min(first + job_store.JOBS_PER_DOCUMENT, size + 1))
        jobs = ",".join(_one(like.job, serial, one) for one in numbers)
        key = f"{name}#{(first - 1) // job_store.JOBS_PER_DOCUMENT}"
        yield Put(job_store.EXPANSIONS, key, CachedJson.ready(f'{{"jobs":[{jobs}]}}'), name, first)
    for one, job_id in enumerate(ids, 1) if parent == "done" else ():
        yield Put(job_store.STATUS_DOCUMENTS, job_id, CachedJson.ready(_one(like.status, serial, one)))
        yield Put("build-results", _key(serial, one), CachedJson.ready(_one(like.built, serial, one)), rank=now)


def _one(like: str, serial: str, number: int) -> str:
    named = like.replace(f"r-{SERIAL}.0", f"r-{serial}.{number}").replace(SERIAL * 5 + "0000", _key(serial, number))
    return named.replace('"number":0', f'"number":{number}').replace(SERIAL, serial)


def _key(serial: str, number: int) -> str:
    return f"{serial}{number:052x}"


def _records() -> tuple[JobRecord, RequestRecord, BuildResult]:
    """Returns a finished job with the artifacts of a small package, its request, and its build result."""
    key = SERIAL * 5 + "0000"
    artifacts = tuple(
        Artifact(name=f"hello_2.10-3_{kind}", sha256=key, size=52832, kind=ArtifactKind.DEB)
        for kind in ("amd64", "all")
    )
    log = Artifact(name="log.txt", sha256=key, size=31000, kind=ArtifactKind.LOG)
    where = {"request_id": f"r-{SERIAL}", "sequence": 7, "source": "debian", "revision": SERIAL * 3 + "0000"}
    job = JobRecord(
        **where, job_id=f"r-{SERIAL}.0", number=0, url="https://git.example.org/debian.git", unit="packages/hello",
        directory="projects/packages/hello", name="hello", kind=Kind.PACKAGE, tree=SERIAL * 3 + "0000", target=TARGET,
        provides=("hello", "hello-doc"), build_depends="debhelper-compat (= 13), libfoo-dev", buildroot=key,
        repositories=key, publish=False, state=JobState.FINISHED, input_key=key, attempt=1, tried_runners=("runner-1",),
        runner_id="runner-1", runner_incarnation=1.7e9, assigned_at=1.7e9, outcome=Outcome.SUCCESS,
        artifacts=artifacts, log=log,
        timings={"fetch": 0.1, "buildroot": 1.2, "build": 14.2, "upload": 0.2},
    )  # fmt: skip
    request = RequestRecord(**where, ref="main", requester="somebody", accepted_at=time.time())
    return job, request, BuildResult(job_id=job.job_id, artifacts=artifacts, log=log, used_at=time.time())


def start(home: Path, broker: BrokerSettings) -> tuple[float, float]:
    """Returns the seconds, and seconds of CPU, from starting the daemon until it reports that it is ready."""
    home.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as watcher:
        address = home / "notify"
        address.unlink(missing_ok=True)
        watcher.bind(str(address))
        watcher.settimeout(READY_WITHIN)
        command = python("-m", "bench.daemon", "scheduler", "--home", str(home))
        began = time.monotonic()
        program = Program("scheduler", [*command, "--broker", broker.bootstrap], home, NOTIFY_SOCKET=str(address))
        try:
            while b"READY=1" not in watcher.recv(4096):
                program.check()
            seconds, cpu = time.monotonic() - began, program.cpu()
        finally:
            os.kill(program.pid, signal.SIGKILL)
            program.end()
    return seconds, cpu
