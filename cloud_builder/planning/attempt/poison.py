"""Poison jobs: jobs that repeatedly lose the runner that builds them.

A loss is *confirmed* when the runner reports it after its restart (`transitions.RUNNER_RESTARTED`) or comes back as
another process. It is *suspected* while the runner is only silent: a frozen machine or a cut cable is silent, too, and
the same process sends heartbeats again afterwards.

When a runner is lost, the job in each of its slots becomes a suspect, although only one of them can be the cause.
Therefore two suspects never run side by side on a runner (see schedule/match.py): the second loss identifies the cause.
"""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model.events import Hold, HoldKind
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.records import JobRecord, RunnerLoss

CODE = "poison"
HINT = (
    "The runner's log and the kernel log (dmesg) show why the runner ended. Fix the cause, then request the build "
    "again. `scheduler.poison_after` sets how many lost runners make a job fail."
)


def runner_loss(job: JobRecord, *, is_confirmed: bool = True) -> RunnerLoss | None:
    """Returns the loss of the runner that has the job.

    None when the build had not begun: then the job cannot have been the cause."""
    if not job.is_assigned or not job.begun_at or job.runner_id is None:
        return None
    return RunnerLoss(
        runner_id=job.runner_id,
        runner_incarnation=job.runner_incarnation,
        begun_at=job.begun_at,
        attempt=job.attempt,
        is_confirmed=is_confirmed,
    )


def is_poison(job: JobRecord, threshold: int) -> bool:
    """True when `threshold` losses are confirmed."""
    return sum(loss.is_confirmed for loss in job.losses) >= threshold


def may_be_poison(job: JobRecord, threshold: int) -> bool:
    """True when the job is poison unless one of the silent runners sends a heartbeat again."""
    return len(job.losses) >= threshold


def is_unconfirmed(job: JobRecord, runner_id: RunnerId) -> bool:
    """True when a heartbeat of this runner changes the job: a loss of the runner is only suspected."""
    return any(loss.runner_id == runner_id and not loss.is_confirmed for loss in job.losses)


def on_runner_seen(job: JobRecord, runner_id: RunnerId, incarnation: float) -> JobRecord:
    """Updates suspected losses after a heartbeat of the runner.

    The same incarnation: the runner was not lost, the suspicion is dropped. A newer incarnation: the loss is confirmed.
    An incarnation that started before the attempt counts as the same one, even if the assignment names another."""
    losses = []
    for loss in job.losses:
        if loss.runner_id != runner_id or loss.is_confirmed:
            losses.append(loss)
        elif loss.runner_incarnation != incarnation > loss.begun_at:
            losses.append(loss.model_copy(update={"is_confirmed": True}))
    return job.model_copy(update={"losses": tuple(losses)})


def isolation_hold(job: JobRecord, beside: Iterable[JobId], runner_id: RunnerId) -> Hold:
    """Returns the hold of a suspect that had its turn on a runner with other suspects.

    See `transitions.delay_for_isolation`."""
    lost = tuple(loss.runner_id for loss in job.losses)
    return Hold(
        kind=HoldKind.ISOLATED, until=job.not_before, suspects=tuple(beside), runner_id=runner_id, lost_runners=lost
    )


def isolation_reason(beside: Iterable[JobId], runner_id: RunnerId) -> str:
    return f"not beside {', '.join(beside)} on {runner_id}: each of these jobs may have ended a runner"


def unconfirmed_hold(job: JobRecord, threshold: int) -> Hold | None:
    """Returns the hold of a job that fails as poison unless a silent runner sends a heartbeat again.

    None when the job is not in that state."""
    if job.state is not JobState.QUEUED or not may_be_poison(job, threshold):
        return None
    return Hold(
        kind=HoldKind.SUSPECTED_LOSS, until=job.not_before, lost_runners=tuple(loss.runner_id for loss in job.losses)
    )


def message(job: JobRecord) -> str:
    """Returns the cause of a poison job's failure: each lost runner with the attempt in which it was lost."""
    times = {1: "once", 2: "twice"}.get(job.loss_count, f"{job.loss_count} times")
    runners = ", ".join(f"{loss.runner_id} (attempt {loss.attempt})" for loss in job.losses)
    return f"lost its runner {times}: {runners}"
