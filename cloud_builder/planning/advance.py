"""What a report makes of a job: the state machine of attempts.

A report counts only when its attempt is the job's current one (fencing): whatever is late, doubled or from a runner
that was given up changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.ids import RunnerId
from cloud_builder.model.outcome import JobState, Outcome

from .records import Built, JobRecord

HANDED_BACK = "runner-stopped"
"""Code of an `error` that is nobody's fault: a runner was told to stop. Does not count as an error of the job."""

LONGEST_WAIT = 60.0
"""Seconds: what is unwell for so long is asked again once a minute."""


@dataclass(frozen=True)
class RetryPolicy:
    """`max_errors`: with so many the job stays in error. `delay`: seconds before the second try, doubling up to
    LONGEST_WAIT."""

    max_errors: int
    delay: float

    def wait(self, errors: int) -> float:
        return min(LONGEST_WAIT, self.delay * 2.0 ** max(0, min(errors, 50) - 1))


def is_current(job: JobRecord | None, attempt: int) -> bool:
    return job is not None and job.is_held and job.attempt == attempt


def assign(job: JobRecord, runner_id: RunnerId, life: float, now: float) -> JobRecord:
    return job.model_copy(
        update={
            "state": JobState.ASSIGNED,
            "attempt": job.attempt + 1,
            "runner_id": runner_id,
            "life": life,
            "assigned_at": now,
            "tried": (*(tried for tried in job.tried if tried != runner_id), runner_id),
        }
    )


def start(job: JobRecord) -> JobRecord:
    return job.model_copy(update={"state": JobState.RUNNING})


def finish(job: JobRecord, report: AttemptFinished, policy: RetryPolicy, now: float) -> JobRecord:
    """The job after its current attempt ended: finished, or queued again after an error."""
    if report.outcome is Outcome.ERROR:
        counts = report.code != HANDED_BACK
        return again(
            job, report.message, policy, now, counts=counts, hint=report.hint, step=report.step, log=report.log
        )
    return _finished(
        job,
        report.outcome,
        message=report.message,
        hint=report.hint,
        step=report.step,
        artifacts=report.artifacts,
        log=report.log,
        timings=report.timings,
    )


def again(
    job: JobRecord, reason: str, policy: RetryPolicy, now: float, *, counts: bool = True, **more: Any
) -> JobRecord:
    """The job after an infrastructure error: queued for later, or finished in error when there were too many."""
    errors = job.errors + counts
    if errors >= policy.max_errors:
        message = f"{reason} (attempt {job.attempt} of {policy.max_errors}, none worked)"
        return _finished(job, Outcome.ERROR, errors=errors, message=message, **more)
    return job.model_copy(
        update={
            "state": JobState.QUEUED,
            "errors": errors,
            "not_before": now + policy.wait(errors) if counts else now,
            "runner_id": None,
            "message": reason,
        }
    )


def reuse(job: JobRecord, built: Built) -> JobRecord:
    return _finished(
        job, Outcome.REUSED, artifacts=built.artifacts, log=built.log, reused_from=built.job_id, message=""
    )


def skip(job: JobRecord, because: Iterable[str]) -> JobRecord:
    return _finished(job, Outcome.SKIPPED, message=f"needs {', '.join(because)}, which did not succeed")


def cancel(job: JobRecord, reason: str) -> JobRecord:
    return _finished(job, Outcome.CANCELED, message=reason)


def _finished(job: JobRecord, outcome: Outcome, **more: Any) -> JobRecord:
    return job.model_copy(update={"state": JobState.FINISHED, "outcome": outcome, "twin": None, **more})
