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
from cloud_builder.planning.records import Death, JobRecord

CODE = "poison"
HINT = (
    "The runner's log, and the kernel's (dmesg), tell what became of it. Request the build again once that is mended; "
    "`scheduler.poison` says after how many."
)


def death(job: JobRecord, *, is_sure: bool = True) -> Death | None:
    """That of the runner which has the job; None when the build had not begun: then it cannot have been the cause."""
    if not job.is_held or not job.begun_at or job.runner_id is None:
        return None
    return Death(runner_id=job.runner_id, life=job.life, begun_at=job.begun_at, attempt=job.attempt, is_sure=is_sure)


def is_certain(job: JobRecord, threshold: int) -> bool:
    return sum(one.is_sure for one in job.died) >= threshold


def is_likely(job: JobRecord, threshold: int) -> bool:
    """Unless one of the silent runners speaks again."""
    return len(job.died) >= threshold


def is_doubted(job: JobRecord, runner_id: RunnerId) -> bool:
    """True when it is worth telling the job that this runner spoke."""
    return any(one.runner_id == runner_id and not one.is_sure for one in job.died)


def heard(job: JobRecord, runner_id: RunnerId, life: float) -> JobRecord:
    """A runner spoke: the same process never died; another one means that the one before did. A process that is older
    than the attempt is the same, even if the order was meant for the one before it."""
    kept = []
    for one in job.died:
        if one.runner_id != runner_id or one.is_sure:
            kept.append(one)
        elif one.life != life > one.begun_at:
            kept.append(one.model_copy(update={"is_sure": True}))
    return job.model_copy(update={"died": tuple(kept)})


def apart(job: JobRecord, beside: Iterable[JobId], runner_id: RunnerId) -> Hold:
    """What keeps a suspect that would have gone to a runner with other suspects (advance.beside_nobody)."""
    died = tuple(one.runner_id for one in job.died)
    return Hold(kind=HoldKind.APART, until=job.not_before, beside=tuple(beside), runner_id=runner_id, died=died)


def apart_because(beside: Iterable[JobId], runner_id: RunnerId) -> str:
    return f"not beside {', '.join(beside)} on {runner_id}: a runner may have died of either"


def doubt(job: JobRecord, threshold: int) -> Hold | None:
    """What keeps a job whose end only the word of a silent runner can change; None: nothing does."""
    if job.state is not JobState.QUEUED or not is_likely(job, threshold):
        return None
    return Hold(kind=HoldKind.DOUBT, until=job.not_before, died=tuple(one.runner_id for one in job.died))


def message(job: JobRecord) -> str:
    """Names each runner with the attempt it died in."""
    times = {1: "once", 2: "twice"}.get(job.deaths, f"{job.deaths} times")
    who = ", ".join(f"{one.runner_id} (attempt {one.attempt})" for one in job.died)
    return f"took down its runner {times}: {who}"
