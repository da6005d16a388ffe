"""Why a request is not finished, or finished as it did: the summary of its jobs, and the job that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cloud_builder.model.outcome import JobState, Outcome, RequestOutcome
from cloud_builder.model.text import duration, first_few, first_few_lines, first_line

from . import input_diff
from .cause import Cause, CauseKind, Detail
from .critical_path import CriticalPath
from .facts import FactSource, JobFacts, RequestFacts
from .formatting import CHECK_SCHEDULER, ago, comma_list
from .job import why_job

_MAX_LINES = 8
_ENDS = {
    RequestOutcome.SUCCESS: CauseKind.SUCCESS,
    RequestOutcome.FAILURE: CauseKind.FAILED,
    RequestOutcome.ERROR: CauseKind.ERROR,
    RequestOutcome.CANCELED: CauseKind.CANCELED,
    RequestOutcome.SUPERSEDED: CauseKind.SUPERSEDED,
    RequestOutcome.REJECTED: CauseKind.REJECTED,
}


def why_request(request: RequestFacts, facts: FactSource, now: float) -> Cause:
    """Returns the cause of a request's state or outcome."""
    jobs = facts.jobs_of(request.request_id)
    cause = _finished(request, jobs, facts, now) if request.outcome else _open(request, jobs, facts, now)
    results = (*_built(jobs, facts), *_published(request, jobs), *_held(request))
    details = (*_counts(jobs), *cause.details, *results, *_requested_by(request, now))
    about = {"request_id": request.request_id, "source": request.source, "state": str(request.outcome or request.state)}
    return cause.model_copy(update={**about, "details": details})


def _open(request: RequestFacts, jobs: Sequence[JobFacts], facts: FactSource, now: float) -> Cause:
    if not jobs:
        answer = f"accepted {ago(request.accepted_at, now)}; cb-scheduler has not created its jobs yet"
        return Cause(kind=CauseKind.PLANNING, answer=answer, next=CHECK_SCHEDULER)
    unfinished = [job for job in jobs if not job.is_finished]
    if not unfinished:
        return _publishing(jobs)
    last = CriticalPath(facts, now).longest(unfinished)
    assert last is not None
    root = why_job(last, facts, now)
    count = f"{len(unfinished)} of {len(jobs)} jobs are not finished"
    return Cause(
        kind=CauseKind.RUNNING,
        answer=f"{count}; the last one to finish will be {last.name}: {root.answer}",
        next=root.next,
        root=root,
    )


def _publishing(jobs: Sequence[JobFacts]) -> Cause:
    repositories = sorted({job.repository for job in jobs if job.publish and job.is_good and job.repository})
    if not repositories:
        answer = "all jobs are finished; cb-scheduler reports the outcome any moment"
        return Cause(kind=CauseKind.PUBLISHING, answer=answer)
    answer = f"all jobs are finished; cb-collector has not published {first_few(repositories, 3)} yet"
    return Cause(
        kind=CauseKind.PUBLISHING, answer=answer, next="cb-ctl list repositories shows when each was published."
    )


def _finished(request: RequestFacts, jobs: Sequence[JobFacts], facts: FactSource, now: float) -> Cause:
    assert request.outcome is not None
    kind = CauseKind.DEADLINE if request.code == "deadline" else _ENDS[request.outcome]
    bad = [job for job in jobs if job.outcome in (Outcome.FAILURE, Outcome.ERROR)]
    if kind in (CauseKind.FAILED, CauseKind.ERROR) and bad:
        return _failed(kind, bad, facts, now)
    if kind is CauseKind.SUCCESS:
        return Cause(kind=kind, answer=_success(request, jobs), next=f"cb-ctl get {request.request_id} downloads it.")
    message = request.message.splitlines() or [f"finished: {request.outcome}"]
    stopped = next((job.message for job in jobs if job.outcome in (Outcome.CANCELED, Outcome.SUPERSEDED)), "")
    answer = first_line(stopped) if not request.message and stopped else message[0]
    more = (Detail(label="more", lines=tuple(message[1:])),) if len(message) > 1 else ()
    return Cause(kind=kind, answer=answer, details=more, next=request.hint)


def _failed(kind: CauseKind, bad: Sequence[JobFacts], facts: FactSource, now: float) -> Cause:
    """Returns the cause by the job that decides: a failure before an error (planning/request/outcome.py)."""
    decisive = next((job for job in bad if job.outcome is Outcome.FAILURE), bad[0])
    root = why_job(decisive, facts, now)
    others = [f"{job.unit} ({job.job_id}): {first_line(job.message)}" for job in bad if job is not decisive]
    return Cause(
        kind=kind,
        answer=f"{decisive.name} did not build: {root.answer}",
        details=(Detail(label="also", lines=first_few_lines(others, _MAX_LINES)),) if others else (),
        next=root.next,
        root=root,
    )


def _success(request: RequestFacts, jobs: Sequence[JobFacts]) -> str:
    built = sum(job.outcome is Outcome.SUCCESS for job in jobs)
    reused = sum(job.outcome is Outcome.REUSED for job in jobs)
    unchanged = sum(job.outcome is Outcome.SKIPPED for job in jobs)
    saved = f", which saved {duration(request.saved)}" if request.saved >= 1 else ""
    return f"succeeded: {built} built, {reused} reused, {unchanged} unchanged and therefore not built{saved}"


def _counts(jobs: Sequence[JobFacts]) -> tuple[Detail, ...]:
    if not jobs:
        return ()
    counted = Counter(str(job.outcome or job.state) for job in jobs)
    return (Detail(label="jobs", lines=(", ".join(f"{number} {name}" for name, number in counted.most_common()),)),)


def _built(jobs: Sequence[JobFacts], facts: FactSource) -> tuple[Detail, ...]:
    """Returns what is, or was, built, and what had changed for it."""
    built = [job for job in jobs if job.outcome is Outcome.SUCCESS or job.state is JobState.RUNNING]
    units = [str(job.unit) for job in built]
    for index, job in enumerate(built[:_MAX_LINES]):
        units[index] += f": {input_diff.summary(input_diff.differences(job, facts, 1))}"
    return (Detail(label="built", lines=first_few_lines(units, _MAX_LINES)),) if built else ()


def _published(request: RequestFacts, jobs: Sequence[JobFacts]) -> tuple[Detail, ...]:
    """Returns the versions that were published for the first time, and what a person should know of them."""
    held = {(build.unit, build.target) for build in request.held}
    listed = [job for job in jobs if job.is_good and job.publish and (job.unit, job.target.name) not in held]
    changed = [job for job in listed if job.source_version != job.replaced_version]
    lines = [f"{job.name}: {job.replaced_version or 'new'} → {job.source_version}" for job in changed]
    published = (Detail(label="published", lines=first_few_lines(lines, _MAX_LINES)),) if lines else ()
    notes = [f"{job.name}: {note}" for job in jobs for note in job.notes]
    return (*published, *((Detail(label="note", lines=first_few_lines(notes, _MAX_LINES)),) if notes else ()))


def _held(request: RequestFacts) -> tuple[Detail, ...]:
    """Returns the builds that were not published at the end of the request."""
    held = [f"{build.unit} for {build.target}: {build.reason}" for build in request.held]
    return (Detail(label="held back", lines=first_few_lines(held, _MAX_LINES)),) if held else ()


def _requested_by(request: RequestFacts, now: float) -> tuple[Detail, ...]:
    if request.origin == "push" and request.revision:
        origin = f"push of {request.revision[:12]} to {request.ref or 'the followed branch'}"
    else:
        origin = f"requested by {request.requester or request.origin}"
    when = ago(request.accepted_at or request.finished_at, now)
    return (Detail(label="request", lines=(comma_list(origin, when),)),)
