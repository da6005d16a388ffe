"""Jobs that take down their runners: who died while running what, and when that is the job's own doing.

A runner says so itself when it comes back (`advance.DIED`), or comes back as another process, or falls silent. Silence
alone proves nothing: a frozen machine or a cut cable is silent, too, and the same process speaks again afterwards.

When one runner dies, each of its slots had a job, and only one of them did it. So two that are suspected never run
beside each other (see match.py): the second death tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model.events import Hold, HoldKind
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.records import JobRecord, RunnerLoss

CODE = "poison"
HINT = (
    "The runner's log, and the kernel's (dmesg), tell what became of it. Request the build again once that is mended; "
    "`scheduler.poison` says after how many."
)


def runner_loss(job: JobRecord, *, is_sure: bool = True) -> RunnerLoss | None:
    """That of the runner which has the job; None when the build had not begun: then it cannot have been the cause."""
    if not job.is_assigned or not job.begun_at or job.runner_id is None:
        return None
    return RunnerLoss(
        runner_id=job.runner_id,
        runner_incarnation=job.runner_incarnation,
        begun_at=job.begun_at,
        attempt=job.attempt,
        is_confirmed=is_sure,
    )


def is_poison(job: JobRecord, threshold: int) -> bool:
    return sum(one.is_confirmed for one in job.losses) >= threshold


def may_be_poison(job: JobRecord, threshold: int) -> bool:
    """Unless one of the silent runners speaks again."""
    return len(job.losses) >= threshold


def is_unconfirmed(job: JobRecord, runner_id: RunnerId) -> bool:
    """True when it is worth telling the job that this runner spoke."""
    return any(one.runner_id == runner_id and not one.is_confirmed for one in job.losses)


def on_runner_seen(job: JobRecord, runner_id: RunnerId, life: float) -> JobRecord:
    """A runner spoke: the same process never died; another one means that the one before did. A process that is older
    than the attempt is the same, even if the order was meant for the one before it."""
    kept = []
    for one in job.losses:
        if one.runner_id != runner_id or one.is_confirmed:
            kept.append(one)
        elif one.runner_incarnation != life > one.begun_at:
            kept.append(one.model_copy(update={"is_confirmed": True}))
    return job.model_copy(update={"losses": tuple(kept)})


def isolation_hold(job: JobRecord, beside: Iterable[JobId], runner_id: RunnerId) -> Hold:
    """What keeps a suspect that would have gone to a runner with other suspects (advance.beside_nobody)."""
    died = tuple(one.runner_id for one in job.losses)
    return Hold(kind=HoldKind.APART, until=job.not_before, beside=tuple(beside), runner_id=runner_id, died=died)


def isolation_reason(beside: Iterable[JobId], runner_id: RunnerId) -> str:
    return f"not beside {', '.join(beside)} on {runner_id}: a runner may have died of either"


def unconfirmed_hold(job: JobRecord, threshold: int) -> Hold | None:
    """What keeps a job whose end only the word of a silent runner can change; None: nothing does."""
    if job.state is not JobState.QUEUED or not may_be_poison(job, threshold):
        return None
    return Hold(kind=HoldKind.DOUBT, until=job.not_before, died=tuple(one.runner_id for one in job.losses))


def message(job: JobRecord) -> str:
    """Names each runner with the attempt it died in."""
    times = {1: "once", 2: "twice"}.get(job.deaths, f"{job.deaths} times")
    who = ", ".join(f"{one.runner_id} (attempt {one.attempt})" for one in job.losses)
    return f"took down its runner {times}: {who}"
