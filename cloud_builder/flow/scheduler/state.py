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
from cloud_builder.model.frozen import Dumped, Lenient
from cloud_builder.model.ids import InputKey, JobId, RequestId, RunnerId, SourceName, UnitPath
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt.transitions import LONGEST_WAIT
from cloud_builder.planning.inputs.artifacts import Made
from cloud_builder.planning.records import Built, JobRecord, Offer, RequestRecord, RunnerRecord
from cloud_builder.planning.schedule.free_slots import Pool, Slots, pool_of
from cloud_builder.planning.schedule.match import ticket_of
from cloud_builder.planning.schedule.queue import Held, Order, Rules
from cloud_builder.ports.mesh import Work
from cloud_builder.ports.state import Documents

from .deferred import Early
from .job_store import Ledger
from .published import Virtual
from .quarantine import Faults
from .sources import Atlas
from .usage_store import recall

E = TypeVar("E", bound=JobEvent)

_DAY = 86400.0
_MOST_OFFERS = 200_000
"""Kept in memory; Debian has 64,000 packages."""


class World:
    """Indexes over the open jobs. Finished requests are only in the documents."""

    def __init__(self, state: Documents, rules: Rules | None = None) -> None:
        self.ledger = Ledger()
        self.requests: dict[RequestId, RequestRecord] = {}
        self.jobs: dict[JobId, JobRecord] = {}
        self.runners: dict[RunnerId, RunnerRecord] = {}
        self.order = Order(rules or Rules())
        self.slots = Slots()
        """As of the last handing out."""
        self.enqueued: list[JobId] = []
        """What came into the order since somebody asked."""
        self.delayed: list[tuple[float, JobId]] = []
        self.building: dict[InputKey, JobId] = {}
        self.held: dict[RunnerId, set[JobId]] = defaultdict(set)
        self.offered: dict[JobId, bool] = {}
        """On shared queues, the oldest offer first, and whether anybody was told that nobody takes it."""
        self.unlisted: dict[tuple[JobId, int], float] = {}
        """Attempts that their runner did not list in its last heartbeat, and since when."""
        self.waiters: dict[JobId, set[JobId]] = defaultdict(set)
        self.concluded: deque[JobId] = deque()
        self.open_jobs: dict[RequestId, set[JobId]] = defaultdict(set)
        """What each open request still waits for."""
        self.to_finish: set[RequestId] = set()
        self.atlas = Atlas()
        self.made: dict[RequestId, Made] = {}
        self._offers: dict[str, Offer | None] = {}
        self._virtual = Virtual()
        self.faults = Faults(state)
        self.early = Early(state)
        recall(state, self.order)
        for _, body in state.find("requests", parent="open"):
            self._open(RequestRecord.model_validate(body), state)

    def _open(self, request: RequestRecord, state: Documents) -> None:
        self.requests[request.request_id] = request
        self.to_finish.add(request.request_id)
        self.faults.note_request(request)
        for job in self.ledger.load(state, request.request_id):
            self.jobs[job.job_id] = job
            self._index(job)
            self._count(job)

    # --- saving ---------------------------------------------------------------------------------------------------

    def save_request(self, work: Work, request: RequestRecord) -> None:
        self.requests[request.request_id] = request
        self.faults.note_request(request)
        _put(work, "requests", request.request_id, request, parent="open", rank=request.sequence)

    def close_request(self, work: Work, request: RequestRecord) -> None:
        """The request is over: its jobs leave the memory and stay in the documents."""
        done = request.model_copy(update={"finished_at": work.now})
        _put(work, "requests", request.request_id, done, parent="done", rank=work.now)
        self.requests.pop(request.request_id)
        self.to_finish.discard(request.request_id)
        self.open_jobs.pop(request.request_id, None)
        self.made.pop(request.request_id, None)
        for job_id in request.jobs:
            self.jobs.pop(job_id, None)
            self.waiters.pop(job_id, None)
        self.ledger.close(request.jobs)

    def begin_jobs(self, work: Work, jobs: Sequence[JobRecord]) -> None:
        """All jobs of a new request, by number."""
        self.ledger.begin(work, jobs)
        for job in jobs:
            self.jobs[job.job_id] = job
            self._index(job)
            self._count(job)

    def save_job(self, work: Work, job: JobRecord) -> None:
        """A step of a job."""
        old = self.jobs[job.job_id]
        self._unindex(old)
        self.jobs[job.job_id] = job
        self._index(job)
        self._count(job)
        if not job.takes_slot:  # nor did it, perhaps: what was matched need not be handed out
            self.order.end(job.job_id, work.now)
        self.ledger.write(work, old, job)
        if job.is_finished:
            self.to_finish.add(job.request_id)
            if job.request_id in self.made:
                self.made[job.request_id].note(job)
            self.unlisted.pop((job.job_id, job.attempt), None)

    def note_start(self, job: JobRecord) -> None:
        """That a runner has begun is not written down: after a restart the job is assigned, which is as good, and a
        document less for each job."""
        self.jobs[job.job_id] = job

    def save_built(self, work: Work, key: InputKey, built: Built) -> None:
        _put(work, "built", key, built.model_copy(update={"used_at": work.now}), rank=work.now)

    def use_built(self, work: Work, key: InputKey, built: Built) -> Built:
        """What is used again is remembered for longer; told once a day."""
        if work.now - built.used_at > _DAY:
            self.save_built(work, key, built)
        return built

    def next_sequence(self, work: Work) -> int:
        number = int((work.state.get("counters", "request") or {"last": 0})["last"]) + 1
        work.state.put("counters", "request", {"last": number})
        return number

    def save_offer(self, work: Work, target: str, offer: Offer) -> None:
        package = offer.artifact.package
        if package is not None:
            key = f"{target}/{package.name}"
            self._virtual.replace(work, target, self.offer(work.state, target, package.name), offer)
            _put(work, "offers", key, offer, parent=offer.source)
            self._offers[key] = offer

    def forget_offers(self, work: Work, source: SourceName, gone: Collection[UnitPath]) -> None:
        """What units made that git has no more is no dependency of anything."""
        offers = [(key, body) for key, body in work.state.find("offers", parent=source)] if gone else []
        for key, body in [(key, body) for key, body in offers if body["unit"] in gone]:
            self._virtual.replace(work, key.rpartition("/")[0], Offer.model_validate(body), None)
            work.state.delete("offers", key)
            self._offers.pop(key, None)

    def offer(self, state: Documents, target: str, name: str) -> Offer | None:
        """The newest published build of a binary package. Every job asks for the same few names of the distribution."""
        key = f"{target}/{name}"
        if key not in self._offers:
            body = state.get("offers", key)
            if len(self._offers) > _MOST_OFFERS:
                self._offers.clear()
            self._offers[key] = None if body is None else Offer.model_validate(body)
        return self._offers[key]

    def offers(self, state: Documents, target: str, name: str) -> list[Offer]:
        """The package of that name, and those that provide it."""
        names = (name, *self._virtual.providers(state, target, name))
        return [offer for each in names if (offer := self.offer(state, target, each)) is not None]

    # --- looking up -----------------------------------------------------------------------------------------------

    def jobs_of(self, request: RequestRecord) -> list[JobRecord]:
        return [self.jobs[job_id] for job_id in request.jobs]

    def needs_of(self, job: JobRecord) -> list[JobRecord]:
        return [self.jobs[need] for need in job.needs]

    def made_in(self, request_id: RequestId) -> Made:
        """What the jobs of an open request have made so far."""
        if request_id not in self.made:
            self.made[request_id] = Made(self.jobs)
            for job in self.jobs_of(self.requests[request_id]):
                self.made[request_id].note(job)
        return self.made[request_id]

    def pools(self) -> list[Pool]:
        """In which jobs wait."""
        return [pool for pool in self.order.pools() if isinstance(pool, Pool)]

    def pool_of(self, job_id: JobId) -> Pool:
        return pool_of(self.jobs[job_id])

    def waiting(self, pool: Pool) -> list[JobId]:
        return [ticket.job_id for ticket in self.order.tickets() if ticket.pool == pool]

    def due(self, now: float) -> None:
        """Moves retries whose delay is over into their queue; and those that no retry delays so long: the clock was
        ahead when they were written down."""
        while self.delayed and not now < self.delayed[0][0] <= now + LONGEST_WAIT:
            _, job_id = heapq.heappop(self.delayed)
            job = self.jobs.get(job_id)
            if job is not None and job.state is JobState.QUEUED and not now < job.not_before <= now + LONGEST_WAIT:
                self._enqueue(job)

    # --- indexes --------------------------------------------------------------------------------------------------

    def _index(self, job: JobRecord) -> None:
        if job.input_key and not job.is_finished and job.twin is None:
            self.building[job.input_key] = job.job_id
        if job.is_held and job.runner_id:
            self.held[job.runner_id].add(job.job_id)
        if job.state is JobState.OFFERED:
            self.offered[job.job_id] = False
        if job.takes_slot:
            self.order.start(Held(job.job_id, job.source, job.requester, job.priority, job.assigned_at))
        for other in _waits_for(job):
            self.waiters[other].add(job.job_id)
        self.faults.note_job(job)
        if job.state is JobState.QUEUED:
            if job.not_before:
                heapq.heappush(self.delayed, (job.not_before, job.job_id))
            else:
                self._enqueue(job)

    def _count(self, job: JobRecord) -> None:
        jobs = self.open_jobs[job.request_id]
        (jobs.discard if job.is_over else jobs.add)(job.job_id)

    def _enqueue(self, job: JobRecord) -> None:
        self.order.add(ticket_of(job), job.queued_at)
        self.enqueued.append(job.job_id)

    def _unindex(self, job: JobRecord) -> None:
        if job.input_key and self.building.get(job.input_key) == job.job_id:
            del self.building[job.input_key]
        self.offered.pop(job.job_id, None)
        if job.runner_id:
            self.held[job.runner_id].discard(job.job_id)
        for other in _waits_for(job):
            self.waiters[other].discard(job.job_id)
        if job.state is JobState.QUEUED:
            self.order.remove(job.job_id)


def _waits_for(job: JobRecord) -> tuple[JobId, ...]:
    if job.state is not JobState.BLOCKED:
        return ()
    return (job.twin,) if job.twin else job.needs


def _put(work: Work, collection: str, key: str, value: Lenient, *, parent: str = "", rank: float = 0.0) -> None:
    work.state.put(collection, key, Dumped(value), parent=parent, rank=rank)


def about(event: type[E], job: JobRecord, now: float, **more: Any) -> E:
    """A job event with the fields that all of them share."""
    return event.trusted(
        job_id=job.job_id,
        request_id=job.request_id,
        source=job.source,
        revision=job.revision,
        unit=job.unit,
        target=job.target,
        at=now,
        **more,
    )
