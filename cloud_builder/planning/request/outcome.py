"""The outcome of a request: its jobs → `request.finished`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from cloud_builder.model.events import JobResult, RequestFinished, Summary
from cloud_builder.model.ids import Digest, RepositoryName, UnitPath
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.repository import HeldBuild
from cloud_builder.model.text import first_few, first_few_lines, first_line
from cloud_builder.planning.records import JobRecord, RequestRecord

from . import supersede
from .result_size import lines_that_fit

MAX_CAUSES = 50
"""Failed jobs that the message of a request names; `request.finished` has all of them."""

MAX_HELD = 100
"""Held builds that `request.finished` lists; further ones are only counted."""


def outcome(request: RequestRecord, jobs: Sequence[JobRecord]) -> RequestOutcome:
    """Returns the worst outcome of the jobs; `canceled` if the request was canceled and a job ended so."""
    outcomes = {job.outcome for job in jobs}
    if request.canceled and Outcome.CANCELED in outcomes:
        return RequestOutcome.CANCELED
    if request.code == supersede.CODE:
        return RequestOutcome.SUPERSEDED
    if Outcome.FAILURE in outcomes:
        return RequestOutcome.FAILURE
    if request.failure or Outcome.ERROR in outcomes:
        return RequestOutcome.ERROR
    return RequestOutcome.CANCELED if Outcome.CANCELED in outcomes else RequestOutcome.SUCCESS


def finished_event(request: RequestRecord, jobs: Sequence[JobRecord], objects_url: str, now: float) -> RequestFinished:
    """Returns the final event of a request."""
    lines = [_result(job) for job in jobs]
    kept = lines_that_fit(lines)
    held = [build for name in sorted(request.held) for build in request.held[name]]
    return RequestFinished(
        request_id=request.request_id,
        source=request.source,
        ref=request.ref,
        revision=request.revision,
        outcome=outcome(request, jobs),
        code=request.code,
        message=request.failure or request.message or _causes(jobs) or _unstable_cycles(jobs) or _held(held),
        jobs=kept,
        left_out=len(lines) - len(kept),
        summary=summary(jobs),
        repositories=tuple(request.repositories[name] for name in sorted(request.repositories)),
        held=tuple(held[:MAX_HELD]),
        more_held=max(0, len(held) - MAX_HELD),
        objects_url=objects_url,
        accepted_at=request.accepted_at,
        finished_at=now,
    )


def held_builds(
    jobs: Iterable[JobRecord], repository: RepositoryName, held: Collection[HeldBuild]
) -> tuple[HeldBuild, ...]:
    """Returns the held builds of a repository that these jobs have made."""
    if not held:
        return ()
    made = {(job.unit, job.target.name) for job in jobs if job.is_good and job.repository == repository}
    return tuple(build for build in held if (build.unit, build.target) in made)


def _held(held: Sequence[HeldBuild]) -> str:
    """Returns a message about the builds that are not published yet; empty: none."""
    if not held:
        return ""
    more = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
    return f"{held[0].unit} for {held[0].target} is held back: {held[0].reason}{more}"


def summary(jobs: Sequence[JobRecord]) -> Summary:
    """Returns how many jobs were built, reused and unchanged.

    `saved`: the seconds that the earlier builds of the reused and unchanged jobs took."""
    unchanged = [job for job in jobs if job.outcome is Outcome.SKIPPED and job.is_good]
    reused = [job for job in jobs if job.outcome is Outcome.REUSED]
    return Summary(
        built=sum(job.outcome is Outcome.SUCCESS for job in jobs),
        reused=len(reused),
        unchanged=len(unchanged),
        saved=round(sum(job.saved for job in (*reused, *unchanged) if job.round <= 1), 3),
    )


def _unstable_cycles(jobs: Sequence[JobRecord]) -> str:
    """Returns a message about the members of dependency cycles that another round would change; empty: none."""
    unstable = unstable_members(jobs)
    if not unstable:
        return ""
    rounds = max(job.round for job in jobs)
    return f"after {rounds} rounds of a dependency cycle these still change: {first_few(unstable)}"


def unstable_members(jobs: Iterable[JobRecord]) -> list[UnitPath]:
    """Returns the members of cycles whose last round made other packages than the round before.

    Another round would change them again; their builds may never become stable. Of a build with the next rebuild number
    the packages before count: the number changes each of them."""
    packages_by_round: dict[tuple[object, ...], dict[int, set[Digest]]] = defaultdict(dict)
    for job in jobs:
        if job.round and job.is_good:
            packages = {artifact.sha256 for artifact in job.artifacts if artifact.package is not None}
            packages = set(job.first_build) or packages
            packages_by_round[job.source, job.unit, job.target.name][job.round] = packages
    last = {key: max(rounds) for key, rounds in packages_by_round.items()}
    unstable = [
        key
        for key, rounds in packages_by_round.items()
        if last[key] > 1 and rounds[last[key]] != rounds.get(last[key] - 1)
    ]
    return sorted({UnitPath(str(unit)) for _, unit, _ in unstable})


def _causes(jobs: Sequence[JobRecord]) -> str:
    """Returns a line about each failed job, the first one with the number of the others.

    Each job has the full message of its own failure."""
    failed = [job for job in jobs if job.outcome in (Outcome.FAILURE, Outcome.ERROR)]
    lines = [f"{job.unit} for {job.target.name}: {first_line(job.message) or job.outcome}" for job in failed]
    if len(failed) > 1:
        lines[0] += f" (and {len(failed) - 1} more)"
    return "\n".join(first_few_lines(lines, MAX_CAUSES, "failed jobs"))


def _result(job: JobRecord) -> JobResult:
    assert job.outcome is not None
    return JobResult(
        job_id=job.job_id,
        unit=job.unit,
        target=job.target.name,
        outcome=job.outcome,
        code=job.code,
        message=job.message,
        source_version=job.source_version,
        replaced_version=job.replaced_version,
        notes=job.notes,
        artifacts=job.artifacts,
        log=job.log,
    )
