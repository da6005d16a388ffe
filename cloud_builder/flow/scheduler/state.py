"""What the scheduler knows: open requests and jobs in memory, everything in its documents.

Each `save_*` changes memory and the durable document together, inside the transaction that the mesh loop opened; the
mesh tells every document that was written on cb.state. After a rollback `World` is thrown away and loaded again.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from cloud_builder.model.events import JobEvent
from cloud_builder.model.frozen import CachedJson, LenientModel
from cloud_builder.model.ids import InputKey, JobId, RequestId, RunnerId, SourceName, UnitPath
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt.transitions import MAX_BACKOFF
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.records import BuildResult, JobRecord, PublishedPackage, RequestRecord, RunnerRecord
from cloud_builder.planning.schedule.free_slots import FreeSlots, RunnerRequirements, requirements_of
from cloud_builder.planning.schedule.match import queued_job
from cloud_builder.planning.schedule.queue import ActiveJob, JobQueue, QueuePolicy
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from .deferred import DeferredRequests
from .job_store import JobStore
from .published import PublishedPackages
from .quarantine import RunnerQuarantine
from .sources import SourceCatalog
from .usage_store import restore

E = TypeVar("E", bound=JobEvent)

_DAY = 86400.0
_MOST_OFFERS = 200_000
"""Kept in memory; Debian has 64,000 packages."""


class SchedulerState:
    """Indexes over the open jobs. Finished requests are only in the documents."""

    def __init__(self, state: Documents, rules: QueuePolicy | None = None) -> None:
        self.ledger = JobStore()
        self.requests: dict[RequestId, RequestRecord] = {}
        self.jobs: dict[JobId, JobRecord] = {}
        self.runners: dict[RunnerId, RunnerRecord] = {}
        self.queue = JobQueue(rules or QueuePolicy())
        self.free_slots = FreeSlots()
        """As of the last handing out."""
        self.newly_queued: list[JobId] = []
        """What came into the order since somebody asked."""
        self.delayed: list[tuple[float, JobId]] = []
        self.active_by_key: dict[InputKey, JobId] = {}
        self.jobs_by_runner: dict[RunnerId, set[JobId]] = defaultdict(set)
        self.open_offers: dict[JobId, bool] = {}
        """On shared queues, the oldest offer first, and whether anybody was told that nobody takes it."""
        self.missing_from_heartbeat: dict[tuple[JobId, int], float] = {}
        """Attempts that their runner did not list in its last heartbeat, and since when."""
        self.waiting_dependents: dict[JobId, set[JobId]] = defaultdict(set)
        self.finished_jobs: deque[JobId] = deque()
        self.open_jobs: dict[RequestId, set[JobId]] = defaultdict(set)
        """What each open request still waits for."""
        self.maybe_finished_requests: set[RequestId] = set()
        self.atlas = SourceCatalog()
        self.artifacts: dict[RequestId, RequestArtifacts] = {}
        self._offers: dict[str, PublishedPackage | None] = {}
        self._virtual = PublishedPackages()
        self.faults = RunnerQuarantine(state)
        self.early = DeferredRequests(state)
        restore(state, self.queue)
        for _, body in state.find("requests", parent="open"):
            self._open(RequestRecord.model_validate(body), state)

    def _open(self, request: RequestRecord, state: Documents) -> None:
        self.requests[request.request_id] = request
        self.maybe_finished_requests.add(request.request_id)
        self.faults.note_request(request)
        for job in self.ledger.load(state, request.request_id):
            self.jobs[job.job_id] = job
            self._index(job)
            self._count(job)

    # --- saving ---------------------------------------------------------------------------------------------------

    def save_request(self, work: UnitOfWork, request: RequestRecord) -> None:
        self.requests[request.request_id] = request
        self.faults.note_request(request)
        _put(work, "requests", request.request_id, request, parent="open", rank=request.sequence)

    def close_request(self, work: UnitOfWork, request: RequestRecord) -> None:
        """The request is over: its jobs leave the memory and stay in the documents."""
        done = request.model_copy(update={"finished_at": work.now})
        _put(work, "requests", request.request_id, done, parent="done", rank=work.now)
        self.requests.pop(request.request_id)
        self.maybe_finished_requests.discard(request.request_id)
        self.open_jobs.pop(request.request_id, None)
        self.artifacts.pop(request.request_id, None)
        for job_id in request.jobs:
            self.jobs.pop(job_id, None)
            self.waiting_dependents.pop(job_id, None)
        self.ledger.evict(request.jobs)

    def begin_jobs(self, work: UnitOfWork, jobs: Sequence[JobRecord]) -> None:
        """All jobs of a new request, by number."""
        self.ledger.create(work, jobs)
        for job in jobs:
            self.jobs[job.job_id] = job
            self._index(job)
            self._count(job)

    def save_job(self, work: UnitOfWork, job: JobRecord) -> None:
        """A step of a job."""
        old = self.jobs[job.job_id]
        self._unindex(old)
        self.jobs[job.job_id] = job
        self._index(job)
        self._count(job)
        if not job.takes_slot:  # nor did it, perhaps: what was matched need not be handed out
            self.queue.release(job.job_id, work.now)
        self.ledger.update(work, old, job)
        if job.is_finished:
            self.maybe_finished_requests.add(job.request_id)
            if job.request_id in self.artifacts:
                self.artifacts[job.request_id].add(job)
            self.missing_from_heartbeat.pop((job.job_id, job.attempt), None)

    def mark_started(self, job: JobRecord) -> None:
        """That a runner has begun is not written down: after a restart the job is assigned, which is as good, and a
        document less for each job."""
        self.jobs[job.job_id] = job

    def save_built(self, work: UnitOfWork, key: InputKey, built: BuildResult) -> None:
        _put(work, "built", key, built.model_copy(update={"used_at": work.now}), rank=work.now)

    def touch_built(self, work: UnitOfWork, key: InputKey, built: BuildResult) -> BuildResult:
        """What is used again is remembered for longer; told once a day."""
        if work.now - built.used_at > _DAY:
            self.save_built(work, key, built)
        return built

    def next_sequence(self, work: UnitOfWork) -> int:
        number = int((work.documents.get("counters", "request") or {"last": 0})["last"]) + 1
        work.documents.put("counters", "request", {"last": number})
        return number

    def save_published(self, work: UnitOfWork, target: str, offer: PublishedPackage) -> None:
        package = offer.artifact.package
        if package is not None:
            key = f"{target}/{package.name}"
            self._virtual.replace(work, target, self.published_package(work.documents, target, package.name), offer)
            _put(work, "offers", key, offer, parent=offer.source)
            self._offers[key] = offer

    def forget_published(self, work: UnitOfWork, source: SourceName, gone: Collection[UnitPath]) -> None:
        """What units made that git has no more is no dependency of anything."""
        offers = [(key, body) for key, body in work.documents.find("offers", parent=source)] if gone else []
        for key, body in [(key, body) for key, body in offers if body["unit"] in gone]:
            self._virtual.replace(work, key.rpartition("/")[0], PublishedPackage.model_validate(body), None)
            work.documents.delete("offers", key)
            self._offers.pop(key, None)

    def published_package(self, state: Documents, target: str, name: str) -> PublishedPackage | None:
        """The newest published build of a binary package. Every job asks for the same few names of the distribution."""
        key = f"{target}/{name}"
        if key not in self._offers:
            body = state.get("offers", key)
            if len(self._offers) > _MOST_OFFERS:
                self._offers.clear()
            self._offers[key] = None if body is None else PublishedPackage.model_validate(body)
        return self._offers[key]

    def published_packages(self, state: Documents, target: str, name: str) -> list[PublishedPackage]:
        """The package of that name, and those that provide it."""
        names = (name, *self._virtual.providers(state, target, name))
        return [offer for each in names if (offer := self.published_package(state, target, each)) is not None]

    # --- looking up -----------------------------------------------------------------------------------------------

    def jobs_of(self, request: RequestRecord) -> list[JobRecord]:
        return [self.jobs[job_id] for job_id in request.jobs]

    def needs_of(self, job: JobRecord) -> list[JobRecord]:
        return [self.jobs[need] for need in job.needs]

    def artifacts_of(self, request_id: RequestId) -> RequestArtifacts:
        """What the jobs of an open request have made so far."""
        if request_id not in self.artifacts:
            self.artifacts[request_id] = RequestArtifacts(self.jobs)
            for job in self.jobs_of(self.requests[request_id]):
                self.artifacts[request_id].add(job)
        return self.artifacts[request_id]

    def pools(self) -> list[RunnerRequirements]:
        """In which jobs wait."""
        return [pool for pool in self.queue.requirements() if isinstance(pool, RunnerRequirements)]

    def pool_of(self, job_id: JobId) -> RunnerRequirements:
        return requirements_of(self.jobs[job_id])

    def waiting(self, pool: RunnerRequirements) -> list[JobId]:
        return [job.job_id for job in self.queue.jobs() if job.requirements == pool]

    def release_delayed(self, now: float) -> None:
        """Moves retries whose delay is over into their queue; and those that no retry delays so long: the clock was
        ahead when they were written down."""
        while self.delayed and not now < self.delayed[0][0] <= now + MAX_BACKOFF:
            _, job_id = heapq.heappop(self.delayed)
            job = self.jobs.get(job_id)
            if job is not None and job.state is JobState.QUEUED and not now < job.not_before <= now + MAX_BACKOFF:
                self._enqueue(job)

    # --- indexes --------------------------------------------------------------------------------------------------

    def _index(self, job: JobRecord) -> None:
        if job.input_key and not job.is_finished and job.duplicate_of is None:
            self.active_by_key[job.input_key] = job.job_id
        if job.is_assigned and job.runner_id:
            self.jobs_by_runner[job.runner_id].add(job.job_id)
        if job.state is JobState.OFFERED:
            self.open_offers[job.job_id] = False
        if job.takes_slot:
            self.queue.mark_running(ActiveJob(job.job_id, job.source, job.requester, job.priority, job.assigned_at))
        for other in _waits_for(job):
            self.waiting_dependents[other].add(job.job_id)
        self.faults.note_job(job)
        if job.state is JobState.QUEUED:
            if job.not_before:
                heapq.heappush(self.delayed, (job.not_before, job.job_id))
            else:
                self._enqueue(job)

    def _count(self, job: JobRecord) -> None:
        jobs = self.open_jobs[job.request_id]
        (jobs.discard if job.is_complete else jobs.add)(job.job_id)

    def _enqueue(self, job: JobRecord) -> None:
        self.queue.add(queued_job(job), job.queued_at)
        self.newly_queued.append(job.job_id)

    def _unindex(self, job: JobRecord) -> None:
        if job.input_key and self.active_by_key.get(job.input_key) == job.job_id:
            del self.active_by_key[job.input_key]
        self.open_offers.pop(job.job_id, None)
        if job.runner_id:
            self.jobs_by_runner[job.runner_id].discard(job.job_id)
        for other in _waits_for(job):
            self.waiting_dependents[other].discard(job.job_id)
        if job.state is JobState.QUEUED:
            self.queue.remove(job.job_id)


def _waits_for(job: JobRecord) -> tuple[JobId, ...]:
    if job.state is not JobState.BLOCKED:
        return ()
    return (job.duplicate_of,) if job.duplicate_of else job.needs


def _put(
    work: UnitOfWork, collection: str, key: str, value: LenientModel, *, parent: str = "", rank: float = 0.0
) -> None:
    work.documents.put(collection, key, CachedJson(value), parent=parent, rank=rank)


def job_event(event: type[E], job: JobRecord, now: float, **more: Any) -> E:
    """A job event with the fields that all of them share."""
    return event.construct_unchecked(
        job_id=job.job_id,
        request_id=job.request_id,
        source=job.source,
        revision=job.revision,
        unit=job.unit,
        target=job.target,
        at=now,
        **more,
    )
