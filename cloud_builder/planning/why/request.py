"""Why a request has not ended, or ended as it did: the sum of its jobs, and the one that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cloud_builder.model.outcome import JobState, Outcome, RequestOutcome
from cloud_builder.model.text import duration, first_few, first_line

from . import input_diff
from .cause import Cause, CauseKind, Detail
from .critical_path import CriticalPath
from .facts import FactSource, JobFacts, RequestFacts
from .formatting import ago
from .job import why_job

_SHOWN = 8
_ENDS = {
    RequestOutcome.SUCCESS: CauseKind.SUCCESS,
    RequestOutcome.FAILURE: CauseKind.FAILED,
    RequestOutcome.ERROR: CauseKind.ERROR,
    RequestOutcome.CANCELED: CauseKind.CANCELED,
    RequestOutcome.SUPERSEDED: CauseKind.SUPERSEDED,
    RequestOutcome.REJECTED: CauseKind.REJECTED,
}


def why_request(request: RequestFacts, known: FactSource, now: float) -> Cause:
    jobs = known.jobs_of(request.request_id)
    cause = _ended(request, jobs, known, now) if request.outcome else _open(request, jobs, known, now)
    details = (*_counts(jobs), *cause.details, *_built(jobs, known), *_begun(request, now))
    about = {"request_id": request.request_id, "source": request.source, "state": str(request.outcome or request.state)}
    return cause.model_copy(update={**about, "details": details})


def _open(request: RequestFacts, jobs: Sequence[JobFacts], known: FactSource, now: float) -> Cause:
    if not jobs:
        waited = ago(request.accepted_at, now)
        answer = f"accepted {waited}, and cb-scheduler has not planned any job of it yet"
        return Cause(kind=CauseKind.PLANNING, answer=answer, next="Is cb-scheduler running? cb-ctl status.")
    unfinished = [job for job in jobs if not job.is_finished]
    if not unfinished:
        return _publishing(jobs)
    pole = CriticalPath(known, now).longest(unfinished)
    assert pole is not None
    root = why_job(pole, known, now)
    count = f"{len(unfinished)} of {len(jobs)} jobs have not ended"
    return Cause(
        kind=CauseKind.RUNNING,
        answer=f"{count}; the last to end will be {pole.name}: {root.answer}",
        next=root.next,
        root=root,
    )


def _publishing(jobs: Sequence[JobFacts]) -> Cause:
    repositories = sorted({job.repository for job in jobs if job.publish and job.is_good and job.repository})
    if not repositories:
        return Cause(kind=CauseKind.PUBLISHING, answer="all its jobs have ended: cb-scheduler is about to say so")
    answer = f"all its jobs have ended; cb-collector has not published {first_few(repositories, 3)} yet"
    return Cause(
        kind=CauseKind.PUBLISHING, answer=answer, next="cb-ctl list repositories tells when each was published."
    )


def _ended(request: RequestFacts, jobs: Sequence[JobFacts], known: FactSource, now: float) -> Cause:
    assert request.outcome is not None
    kind = CauseKind.DEADLINE if request.code == "deadline" else _ENDS[request.outcome]
    bad = [job for job in jobs if job.outcome in (Outcome.FAILURE, Outcome.ERROR)]
    if kind in (CauseKind.FAILED, CauseKind.ERROR) and bad:
        return _failed(kind, bad, known, now)
    if kind is CauseKind.SUCCESS:
        return Cause(kind=kind, answer=_success(request, jobs), next=f"cb-ctl get {request.request_id} fetches it.")
    message = request.message.splitlines() or [f"it ended: {request.outcome}"]
    stopped = next((job.message for job in jobs if job.outcome in (Outcome.CANCELED, Outcome.SUPERSEDED)), "")
    answer = first_line(stopped) if not request.message and stopped else message[0]
    more = (Detail(label="more", lines=tuple(message[1:])),) if len(message) > 1 else ()
    return Cause(kind=kind, answer=answer, details=more, next=request.hint)


def _failed(kind: CauseKind, bad: Sequence[JobFacts], known: FactSource, now: float) -> Cause:
    """A failure decides before an error does (planning/request/outcome.py)."""
    decisive = next((job for job in bad if job.outcome is Outcome.FAILURE), bad[0])
    root = why_job(decisive, known, now)
    others = [f"{job.unit} ({job.job_id}): {first_line(job.message)}" for job in bad if job is not decisive]
    lines = (*others[:_SHOWN], *([f"and {len(others) - _SHOWN} more"] if len(others) > _SHOWN else ()))
    return Cause(
        kind=kind,
        answer=f"{decisive.name} did not build: {root.answer}",
        details=(Detail(label="also", lines=lines),) if others else (),
        next=root.next,
        root=root,
    )


def _success(request: RequestFacts, jobs: Sequence[JobFacts]) -> str:
    built = sum(job.outcome is Outcome.SUCCESS for job in jobs)
    reused = sum(job.outcome is Outcome.REUSED for job in jobs)
    unchanged = sum(job.outcome is Outcome.SKIPPED for job in jobs)
    saved = f", which saved {duration(request.saved)}" if request.saved >= 1 else ""
    return f"ended well: {built} built, {reused} reused, {unchanged} not touched because nothing had changed{saved}"


def _counts(jobs: Sequence[JobFacts]) -> tuple[Detail, ...]:
    if not jobs:
        return ()
    counted = Counter(str(job.outcome or job.state) for job in jobs)
    return (Detail(label="jobs", lines=(", ".join(f"{number} {name}" for name, number in counted.most_common()),)),)


def _built(jobs: Sequence[JobFacts], known: FactSource) -> tuple[Detail, ...]:
    """What is, or was, built, and what had changed for it."""
    built = [job for job in jobs if job.outcome is Outcome.SUCCESS or job.state is JobState.RUNNING]
    lines = [f"{job.unit}: {input_diff.summary(input_diff.differences(job, known, 1))}" for job in built[:_SHOWN]]
    more = [f"and {len(built) - _SHOWN} more"] if len(built) > _SHOWN else []
    return (Detail(label="built", lines=(*lines, *more)),) if built else ()


def _begun(request: RequestFacts, now: float) -> tuple[Detail, ...]:
    if request.origin == "push" and request.revision:
        who = f"push of {request.revision[:12]} to {request.ref or 'the followed branch'}"
    else:
        who = f"asked for by {request.requester or request.origin}"
    when = ago(request.accepted_at or request.finished_at, now)
    return (Detail(label="begun", lines=(f"{who}, {when}" if when else who,)),)
