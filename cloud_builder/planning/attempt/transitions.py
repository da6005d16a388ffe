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
from cloud_builder.planning.records import BuildResult, JobRecord, RunnerLoss

from . import poison

RUNNER_STOPPED = "runner-stopped"
"""Code of an `error` that is nobody's fault: a runner was told to stop. Does not count as an error of the job."""

RUNNER_RESTARTED = "runner-restarted"
"""Code of an `error` that a runner reports of what its earlier life held."""

LOST_BROKER = "lost-broker"
"""Code of an `error`: the runner could not reach the broker for a lease, and stopped its builds."""

MAX_BACKOFF = 60.0
"""Seconds: what is unwell for so long is asked again once a minute."""

RECHECK_DELAY = 2.0
"""Seconds until a job is looked at again that could not run beside another."""


@dataclass(frozen=True)
class RetryPolicy:
    """`max_errors`: with so many the job stays in error. `delay`: seconds before the second try, doubling up to
    LONGEST_WAIT. `poison`: a job that took down so many runners is a failure; `doubt`: seconds, at most LONGEST_WAIT,
    in which a silent runner may come back and be counted out before that is said. `distrust`: a runner is set aside
    after so many errors in a row."""

    max_errors: int
    delay: float
    poison: int = 2
    confirm_wait: float = 24.0
    quarantine_after: int = 3

    def wait(self, errors: int) -> float:
        return min(MAX_BACKOFF, self.delay * 2.0 ** max(0, min(errors, 50) - 1))


def is_current(job: JobRecord | None, attempt: int) -> bool:
    return job is not None and job.is_assigned and job.attempt == attempt


def assign(job: JobRecord, runner_id: RunnerId, life: float, now: float) -> JobRecord:
    return job.model_copy(
        update={
            "state": JobState.ASSIGNED,
            "attempt": job.attempt + 1,
            "runner_id": runner_id,
            "runner_incarnation": life,
            "assigned_at": now,
            "begun_at": 0.0,
            "tried_runners": (*(tried for tried in job.tried_runners if tried != runner_id), runner_id),
        }
    )


def start(job: JobRecord, at: float) -> JobRecord:
    """`at`: by the runner's clock."""
    return job.model_copy(update={"state": JobState.RUNNING, "begun_at": at})


def mark_started(job: JobRecord, at: float) -> JobRecord:
    """Where the job stands is not told anew."""
    return job.model_copy(update={"begun_at": at})


def finish(job: JobRecord, report: AttemptFinished, policy: RetryPolicy, now: float) -> JobRecord:
    """The job after its current attempt ended: finished, or queued again after an error."""
    if report.outcome is Outcome.ERROR:
        counts = report.code != RUNNER_STOPPED
        death = poison.runner_loss(job) if report.code == RUNNER_RESTARTED else None
        told = {"code": report.code, "hint": report.hint, "step": report.step, "log": report.log}
        return retry_or_fail(job, report.message, policy, now, counts=counts, death=death, **told)
    return _finished(
        job,
        report.outcome,
        code=report.code,
        message=report.message,
        hint=report.hint,
        step=report.step,
        artifacts=report.artifacts,
        log=report.log,
        timings=report.timings,
    )


def retry_or_fail(
    job: JobRecord,
    reason: str,
    policy: RetryPolicy,
    now: float,
    *,
    counts: bool = True,
    death: RunnerLoss | None = None,
    **more: Any,
) -> JobRecord:
    """The job after an infrastructure error: queued for later, or finished when there were too many. `death`: the
    runner's own, which may have been the job's doing."""
    if death is not None:
        job = job.model_copy(update={"losses": (*job.losses, death)})
    if poison.is_poison(job, policy.poison):
        return fail_as_poison(job)
    errors = job.errors + counts
    if errors >= policy.max_errors:
        message = f"{reason} (attempt {job.attempt} of {policy.max_errors}, none worked)"
        return _finished(job, Outcome.ERROR, **{"errors": errors, "message": message, **more})
    wait = policy.wait(errors) if counts else 0.0
    if poison.may_be_poison(job, policy.poison):
        wait, reason = policy.confirm_wait, f"{reason}; unless it comes back, this {poison.message(job)}"
    return job.model_copy(
        update={
            "state": JobState.QUEUED,
            "errors": errors,
            "not_before": now + wait,
            "runner_id": None,
            "message": reason,
        }
    )


def on_runner_seen(job: JobRecord, runner_id: RunnerId, life: float, policy: RetryPolicy, now: float) -> JobRecord:
    """The job after a runner spoke that had seemed to die of it: it did not, or it is certain now."""
    after = poison.on_runner_seen(job, runner_id, life)
    if after.state is not JobState.QUEUED or not poison.may_be_poison(job, policy.poison):
        return after
    if poison.is_poison(after, policy.poison):
        return fail_as_poison(after)
    return after if poison.may_be_poison(after, policy.poison) else after.model_copy(update={"not_before": now})


def delay_for_isolation(job: JobRecord, now: float) -> JobRecord:
    """The job, which a runner may have died of, was to run beside another one of that kind: a little later."""
    return job.model_copy(update={"not_before": now + RECHECK_DELAY})


def fail_as_poison(job: JobRecord) -> JobRecord:
    """A job that took down its runners is a failure: another try would take down another one."""
    return _finished(job, Outcome.FAILURE, code=poison.CODE, message=poison.message(job), hint=poison.HINT)


def reuse(job: JobRecord, built: BuildResult) -> JobRecord:
    return _finished(
        job, Outcome.REUSED, artifacts=built.artifacts, log=built.log, reused_from=built.job_id, message=""
    )


def skip(job: JobRecord, because: Iterable[str]) -> JobRecord:
    message = f"needs {', '.join(because)}, which did not succeed"
    return _finished(job, Outcome.SKIPPED, code="dependency-failed", message=message)


def cancel(job: JobRecord, reason: str, code: str = "canceled") -> JobRecord:
    return _finished(job, Outcome.CANCELED, code=code, message=reason)


def _finished(job: JobRecord, outcome: Outcome, **more: Any) -> JobRecord:
    return job.model_copy(update={"state": JobState.FINISHED, "outcome": outcome, "duplicate_of": None, **more})
