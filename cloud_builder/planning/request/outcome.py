"""From the jobs of a request to its outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from cloud_builder.model.events import JobResult, RequestFinished, Summary
from cloud_builder.model.ids import Digest, UnitPath
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.text import first_few, first_line
from cloud_builder.planning.records import JobRecord, RequestRecord

from . import supersede
from .result_size import lines_that_fit


def outcome(request: RequestRecord, jobs: Sequence[JobRecord]) -> RequestOutcome:
    """The worst of its jobs; a cancel says more than what it stopped."""
    found = {job.outcome for job in jobs}
    if request.canceled and Outcome.CANCELED in found:
        return RequestOutcome.CANCELED
    if request.code == supersede.CODE:
        return RequestOutcome.SUPERSEDED
    if Outcome.FAILURE in found:
        return RequestOutcome.FAILURE
    if request.failure or Outcome.ERROR in found:
        return RequestOutcome.ERROR
    return RequestOutcome.CANCELED if Outcome.CANCELED in found else RequestOutcome.SUCCESS


def finished_event(request: RequestRecord, jobs: Sequence[JobRecord], objects_url: str, now: float) -> RequestFinished:
    """The last word on a request."""
    lines = [_result(job) for job in jobs]
    told = lines_that_fit(lines)
    return RequestFinished(
        request_id=request.request_id,
        source=request.source,
        ref=request.ref,
        revision=request.revision,
        outcome=outcome(request, jobs),
        code=request.code,
        message=request.failure or request.message or _first_cause(jobs) or _unstable_cycles(jobs),
        jobs=told,
        left_out=len(lines) - len(told),
        summary=summary(jobs),
        repositories=tuple(request.repositories[name] for name in sorted(request.repositories)),
        objects_url=objects_url,
        accepted_at=request.accepted_at,
        finished_at=now,
    )


def summary(jobs: Sequence[JobRecord]) -> Summary:
    """What was built, and what was not because it had been before. Seconds count from when those were built."""
    unchanged = [job for job in jobs if job.outcome is Outcome.SKIPPED and job.is_good]
    reused = [job for job in jobs if job.outcome is Outcome.REUSED]
    return Summary(
        built=sum(job.outcome is Outcome.SUCCESS for job in jobs),
        reused=len(reused),
        unchanged=len(unchanged),
        saved=round(sum(job.saved for job in (*reused, *unchanged) if job.round <= 1), 3),
    )


def _unstable_cycles(jobs: Sequence[JobRecord]) -> str:
    """Which members of a dependency cycle would be something else if they were built once more."""
    moved = unstable_members(jobs)
    if not moved:
        return ""
    rounds = max(job.round for job in jobs)
    return f"after {rounds} rounds of a dependency cycle these still change: {first_few(moved)}"


def unstable_members(jobs: Iterable[JobRecord]) -> list[UnitPath]:
    """Members whose last round made something else than the one before: they would never stand still, or not yet."""
    made: dict[tuple[object, ...], dict[int, set[Digest]]] = defaultdict(dict)
    for job in jobs:
        if job.round and job.is_good:
            packages = {artifact.sha256 for artifact in job.artifacts if artifact.package is not None}
            made[job.source, job.unit, job.target.name][job.round] = packages
    last = {key: max(turns) for key, turns in made.items()}
    moved = [key for key, turns in made.items() if last[key] > 1 and turns[last[key]] != turns.get(last[key] - 1)]
    return sorted({UnitPath(str(unit)) for _, unit, _ in moved})


def _first_cause(jobs: Sequence[JobRecord]) -> str:
    """A line: each job tells the whole of its own."""
    failed = [job for job in jobs if job.outcome in (Outcome.FAILURE, Outcome.ERROR)]
    if not failed:
        return ""
    cause = first_line(failed[0].message) or failed[0].outcome
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{failed[0].unit} for {failed[0].target.name}: {cause}{more}"


def _result(job: JobRecord) -> JobResult:
    assert job.outcome is not None
    return JobResult(
        job_id=job.job_id,
        unit=job.unit,
        target=job.target.name,
        outcome=job.outcome,
        code=job.code,
        message=job.message,
        artifacts=job.artifacts,
        log=job.log,
    )
