"""Assigns queued jobs to free slots, and takes back attempts whose runner is silent or no longer lists them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Set

from cloud_builder.model.events import RunnerDraining, RunnerSeen
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd
from cloud_builder.planning.attempt.transitions import RetryPolicy
from cloud_builder.planning.records import JobRecord, RunnerLoss, RunnerRecord
from cloud_builder.planning.schedule.match import match
from cloud_builder.planning.schedule.shared_queue import QueueReaders
from cloud_builder.ports.mesh import UnitOfWork

from . import deadline, shared_queue
from .config import SchedulerConfig
from .job_events import assignment_for, emit_job_revoked
from .jobs import enqueue, requeue
from .runner_table import AttemptKey
from .state import SchedulerState

_LOG = logging.getLogger("cb.scheduler")

ASSUMED_STARTED_AFTER = 5.0
"""Seconds after its assignment from which a job that its runner lists counts as running."""


def on_runner_seen(state: SchedulerState, work: UnitOfWork, event: RunnerSeen, config: SchedulerConfig) -> None:
    """Compares the attempts that a heartbeat lists with those that were assigned to the runner.

    The runner has not read an unlisted attempt yet, or the attempt has ended and its report is on the way (another
    topic, any order): it is given up only after a lease. An attempt of an earlier incarnation is given up at once."""
    runner = state.runners.by_id.get(event.runner_id)
    if runner is None or runner.started_at != event.started_at:
        _LOG.info("runner-seen", extra={"runner": event.runner_id, "slots": event.slots, "group": event.runner_group})
    suspects = state.jobs.pop_suspects(event.runner_id)
    for suspect in update_suspects(suspects, state.jobs.by_id, event, config.retries, work.now):
        requeue(state, work, suspect, config)
    listed = {(running.job_id, running.attempt) for running in event.attempts}
    jobs = state.jobs.by_id
    unlisted = {(job_id, jobs[job_id].attempt) for job_id in state.runners.jobs_on(event.runner_id)} - listed
    for attempt in listed:
        state.runners.clear_missing(attempt)
        job = jobs.get(attempt[0])
        if job is not None and transitions.is_current(job, attempt[1]):
            _confirm_attempt(state, work, job, event)
    missing = set(unlisted)
    for attempt in unlisted:
        if _give_up_unlisted(state, work, attempt, event, config):
            missing.discard(attempt)
    state.runners.save(
        RunnerRecord(
            runner_id=event.runner_id,
            runner_group=event.runner_group,
            arch=event.arch,
            slots=event.slots,
            started_at=event.started_at,
            last_seen=work.now,
            attempts=frozenset(listed | missing),
            capacity=event.capacity,
            buildroots=frozenset(event.buildroots),
            layers=frozenset(event.layers),
            sources=frozenset(event.sources),
            queues=frozenset(event.queues),
        )
    )


def update_suspects(
    suspects: Set[JobId], jobs: Mapping[JobId, JobRecord], event: RunnerSeen, policy: RetryPolicy, now: float
) -> list[JobRecord]:
    """Returns the changed jobs among the suspects of a runner after its heartbeat: the loss is confirmed or dropped."""
    return [
        transitions.on_runner_seen(job, event.runner_id, event.started_at, policy, now)
        for job_id in suspects
        if (job := jobs.get(job_id)) is not None and not job.is_finished and poison.is_unconfirmed(job, event.runner_id)
    ]


def _confirm_attempt(state: SchedulerState, work: UnitOfWork, job: JobRecord, event: RunnerSeen) -> None:
    """Updates a job that its runner lists. The start of a job is not persisted (`mark_started`): after a restart of the
    scheduler this heartbeat is the only sign of it."""
    if job.runner_incarnation != event.started_at:
        state.save_job(work, job.model_copy(update={"runner_incarnation": event.started_at}))
    elif not job.begun_at and work.now - job.assigned_at > ASSUMED_STARTED_AFTER:
        state.mark_started(transitions.mark_started(job, event.at))


def _give_up_unlisted(
    state: SchedulerState, work: UnitOfWork, attempt: AttemptKey, event: RunnerSeen, config: SchedulerConfig
) -> bool:
    """Gives up an attempt that a heartbeat does not list; False if it is too early for that."""
    job = state.jobs.by_id[attempt[0]]
    since = state.runners.missing_since(attempt, work.now)
    is_lost = job.runner_incarnation != event.started_at and job.begun_at < event.started_at
    if not is_lost and work.now - since <= config.lease:
        return False
    what = "ended while it built this job" if is_lost and job.begun_at else "no longer has this job"
    loss = poison.runner_loss(job) if is_lost else None
    abandon_attempt(state, work, job, f"runner {event.runner_id} {what}", config, loss=loss)
    return True


def on_runner_draining(state: SchedulerState, work: UnitOfWork, event: RunnerDraining) -> None:
    _LOG.info("runner-draining", extra={"runner": event.runner_id, "why": event.reason})
    state.runners.remove(event.runner_id)
    state.runners.quarantine.on_runner_draining(work, event.runner_id)


def abandon_attempt(
    state: SchedulerState,
    work: UnitOfWork,
    job: JobRecord,
    reason: str,
    config: SchedulerConfig,
    *,
    loss: RunnerLoss | None = None,
) -> None:
    """Gives up an attempt: revokes it, ignores its result, and retries the job or fails it.

    `loss`: the loss of the runner, if the job may have caused it."""
    state.runners.clear_missing((job.job_id, job.attempt))
    extra = {"job": job.job_id, "attempt": job.attempt, "runner": job.runner_id, "why": reason}
    _LOG.warning("attempt-abandoned", extra=extra)
    emit_job_revoked(work, job, reason)
    if loss is not None and loss.is_confirmed:
        end = AttemptEnd(Outcome.ERROR, transitions.RUNNER_RESTARTED, reason)
        state.runners.quarantine.on_attempt_end(work, job, end, config.retries.quarantine_after)
    after = transitions.retry_or_fail(job, reason, config.retries, work.now, loss=loss, code="runner-lost")
    requeue(state, work, after, config)


def check_leases(state: SchedulerState, work: UnitOfWork, config: SchedulerConfig, since: float) -> None:
    """Takes the jobs from runners that were silent for a lease. `since`: when this scheduler began to receive
    heartbeats without a gap; silence before that counts for no runner."""
    for runner_id, silent, job_ids in state.runners.silent_with_jobs(work.now, since, config.lease):
        for job_id in job_ids:
            job = state.jobs.by_id[job_id]
            if not 0 <= work.now - job.assigned_at <= config.lease:  # In the future: the clock was ahead.
                reason = f"runner {runner_id} was silent for {silent:.0f} s"
                abandon_attempt(state, work, job, reason, config, loss=poison.runner_loss(job, is_confirmed=False))
    for runner_id in state.runners.remove_silent(work.now, since, config.lease):
        _LOG.warning("runner-silent", extra={"runner": runner_id})
    if work.now - since > config.lease:
        for job in deadline.due(state.jobs.suspects.values(), state.jobs.by_id, config.retries, work.now):
            requeue(state, work, job, config)
    state.runners.quarantine.expire(work, state.runners.by_id)


def dispatch_jobs(state: SchedulerState, work: UnitOfWork, config: SchedulerConfig) -> None:
    """Assigns queued jobs to free slots; with shared queues, offers them where possible."""
    state.jobs.release_delayed(work.now)
    state.runners.refresh_free_slots(state.jobs.offered(), work.now)
    readers = QueueReaders(state.runners.by_id.values()) if config.is_shared else None
    assigned: dict[RunnerId, set[AttemptKey]] = defaultdict(set)
    for assignment in match(state.jobs.queue, state.runners.free_slots, state.jobs.by_id, work.now):
        runner_id = assignment.runner_id
        job = state.jobs.by_id[assignment.job_id]
        if suspects := suspects_on(state.runners.jobs_on(runner_id), state.jobs.by_id, job):
            _delay_for_isolation(state, work, job, suspects, runner_id)
        elif readers is None or not shared_queue.offer_job(state, work, job, runner_id, readers=readers, config=config):
            job = transitions.assign(job, runner_id, state.runners.by_id[runner_id].started_at, work.now)
            assigned[runner_id].add((job.job_id, job.attempt))
            state.save_job(work, job)
            work.emit(assignment_for(job, runner_id, config.lease))
            _LOG.debug("assigned", extra={"job": job.job_id, "attempt": job.attempt, "runner": runner_id})
    for runner_id, attempts in assigned.items():
        state.runners.occupy(runner_id, attempts)


def suspects_on(job_ids: Set[JobId], jobs: Mapping[JobId, JobRecord], job: JobRecord) -> tuple[JobId, ...]:
    """Returns the suspects among a runner's jobs beside which a suspect must not run: after another loss of the runner
    nobody could tell which of them caused it. Empty if the job itself is no suspect."""
    return tuple(sorted(job_id for job_id in job_ids if jobs[job_id].losses)) if job.losses else ()


def _delay_for_isolation(
    state: SchedulerState, work: UnitOfWork, job: JobRecord, suspects: tuple[JobId, ...], runner_id: RunnerId
) -> None:
    delayed = transitions.delay_for_isolation(job, work.now)
    reason = poison.isolation_reason(suspects, runner_id)
    enqueue(state, work, delayed, reason, poison.isolation_hold(delayed, suspects, runner_id))
