"""Jobs become orders, and silence ends leases: the part of the scheduler that faces the runners."""

from __future__ import annotations

import logging
from collections import defaultdict

from cloud_builder.model.events import JobAssigned, JobBlocked, RunnerDraining, RunnerSeen
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.planning import advance
from cloud_builder.planning.advance import RetryPolicy
from cloud_builder.planning.match import Pool, match
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.ports.mesh import Work

from .intake import conclude, queue, revoke, settle
from .world import World, about

log = logging.getLogger("cb.scheduler")


def hear(world: World, work: Work, event: RunnerSeen, policy: RetryPolicy, lease: float) -> None:
    """A heartbeat: what the runner holds by its own word, joined with what we ordered.

    What it does not list it has not read yet, or it has ended and the report is on its way (another topic, any order):
    only after a lease is it lost. What an earlier life of the runner held is lost at once."""
    known = world.runners.get(event.runner_id)
    if known is None or known.started_at != event.started_at:
        log.info("runner-here", extra={"runner": event.runner_id, "slots": event.slots, "group": event.runner_group})
    listed = {(held.job_id, held.attempt) for held in event.attempts}
    ordered = {(job_id, world.jobs[job_id].attempt) for job_id in world.held[event.runner_id]} - listed
    for held in listed:
        world.unlisted.pop(held, None)
        job = world.jobs.get(held[0])
        if job is not None and advance.is_current(job, held[1]) and job.life != event.started_at:
            world.save_job(work, job.model_copy(update={"life": event.started_at}))
    for job_id, attempt in tuple(ordered):
        job = world.jobs[job_id]
        since = world.unlisted.setdefault((job_id, attempt), work.now)
        if job.life != event.started_at or work.now - since > lease:
            ordered.discard((job_id, attempt))
            lose(world, work, job, f"runner {event.runner_id} no longer has it", policy)
    world.runners[event.runner_id] = RunnerRecord(
        runner_id=event.runner_id,
        runner_group=event.runner_group,
        arch=event.arch,
        slots=event.slots,
        started_at=event.started_at,
        last_seen=work.now,
        attempts=frozenset(listed | ordered),
    )


def drain(world: World, event: RunnerDraining) -> None:
    log.info("runner-leaves", extra={"runner": event.runner_id, "why": event.reason})
    world.runners.pop(event.runner_id, None)


def let_go(world: World, runner_id: RunnerId, job_id: JobId, attempt: int) -> None:
    """The runner's slot is free again."""
    world.unlisted.pop((job_id, attempt), None)
    runner = world.runners.get(runner_id)
    if runner is not None:
        world.runners[runner_id] = runner.model_copy(update={"attempts": runner.attempts - {(job_id, attempt)}})


def lose(world: World, work: Work, job: JobRecord, reason: str, policy: RetryPolicy) -> None:
    """An attempt is given up. Whoever still works on it is told, and its result will not count."""
    world.unlisted.pop((job.job_id, job.attempt), None)
    log.warning("lost", extra={"job": job.job_id, "attempt": job.attempt, "runner": job.runner_id, "why": reason})
    revoke(work, job, reason)
    put_back(world, work, advance.again(job, reason, policy, work.now))


def put_back(world: World, work: Work, job: JobRecord) -> None:
    """After an error: into the queue, or over."""
    if job.is_finished:
        conclude(world, work, job)
        settle(world, work)
    else:
        queue(world, work, job, reason=job.message)


def check_leases(world: World, work: Work, policy: RetryPolicy, lease: float, since: float) -> None:
    """Runners silent for a lease lose their jobs. `since`: when we began to listen; before that nobody was silent."""
    for runner_id, held in list(world.held.items()):
        if not held:
            continue
        runner = world.runners.get(runner_id)
        silent = work.now - max(runner.last_seen if runner else 0.0, since)
        for job_id in tuple(held) if silent > lease else ():
            job = world.jobs[job_id]
            if not 0 <= work.now - job.assigned_at <= lease:  # in the future: the clock was ahead
                lose(world, work, job, f"runner {runner_id} was silent for {silent:.0f} s", policy)
    for runner_id, runner in list(world.runners.items()):
        if work.now - max(runner.last_seen, since) > lease:
            log.warning("runner-silent", extra={"runner": runner_id})
            del world.runners[runner_id]


def hand_out(world: World, work: Work, lease: float) -> None:
    """Gives waiting jobs to free slots."""
    world.due(work.now)
    queues = {pool: world.queued(pool) for pool, places in world.queues.items() if places}
    taken: dict[RunnerId, set[tuple[JobId, int]]] = defaultdict(set)
    for assignment in match(queues, world.runners.values()) if queues else ():
        runner = world.runners[assignment.runner_id]
        job = advance.assign(world.jobs[assignment.job_id], runner.runner_id, runner.started_at, work.now)
        taken[runner.runner_id].add((job.job_id, job.attempt))
        world.save_job(work, job)
        work.emit(_order(job, runner.runner_id, lease))
        log.debug("assigned", extra={"job": job.job_id, "attempt": job.attempt, "runner": runner.runner_id})
    for runner_id, attempts in taken.items():
        runner = world.runners[runner_id]
        world.runners[runner_id] = runner.model_copy(update={"attempts": runner.attempts | attempts})


def say_who_is_missing(world: World, work: Work, told: dict[Pool, set[JobId]]) -> None:
    """A job that no live runner can take says so, once, instead of waiting without a cause."""
    for pool in tuple(world.queues):
        if any(pool.takes(runner) for runner in world.runners.values()):
            told.pop(pool, None)
            continue
        group = f" of group {pool.group}" if pool.group else ""
        reason = f"no live runner{group} for {pool.arch}; start one: cb-runner, or cb-ctl up --runners 1"
        waiting = {job.job_id: job for job in world.queued(pool)}
        known, told[pool] = told.get(pool, set()), set(waiting)
        for job in [job for job_id, job in waiting.items() if job_id not in known]:
            work.emit(about(JobBlocked, job, work.now, reason=reason))


def _order(job: JobRecord, runner_id: RunnerId, lease: float) -> JobAssigned:
    assert job.input_key is not None
    return JobAssigned(
        job_id=job.job_id,
        attempt=job.attempt,
        runner_id=runner_id,
        request_id=job.request_id,
        source=job.source,
        url=job.url,
        revision=job.revision,
        unit=job.unit,
        directory=job.directory,
        name=job.name,
        kind=job.kind,
        tree=job.tree,
        target=job.target,
        input_key=job.input_key,
        buildroot=job.buildroot,
        repositories=job.repositories,
        profiles=job.profiles,
        dependencies=job.dependencies,
        lease=lease,
    )
