"""The state machine of attempts: job + report of a runner → job.

A report counts only when its attempt is the current one of the job (fencing). A late or repeated report, or a report
of a runner that was given up, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.ids import RunnerId
from cloud_builder.model.outcome import BUILD_DEPENDENCY, DEPENDENCY_CYCLE, JobState, Outcome
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.model.text import first_few
from cloud_builder.planning.records import BuildResult, JobRecord, RunnerLoss

from . import poison

RUNNER_STOPPED = "runner-stopped"
"""Code of an `error`: the runner was stopped on purpose. Not counted as an error of the job or of the runner."""

RUNNER_RESTARTED = "runner-restarted"
"""Code of an `error`: a restarted runner reports an attempt of its previous incarnation."""

LOST_BROKER = "lost-broker"
"""Code of an `error`: the runner could not reach the broker for a lease, and stopped its builds."""

MAX_BACKOFF = 60.0
"""Seconds, the longest wait between two attempts: a job that is in error for long is tried once a minute."""

RECHECK_DELAY = 2.0
"""Seconds until the scheduler checks again whether a suspect can run without other suspects beside it."""


@dataclass(frozen=True)
class RetryPolicy:
    """The limits for errors and runner losses."""

    max_errors: int
    """Errors after which the job ends in `error`."""
    delay: float
    """Seconds before the second attempt; they double with each error up to MAX_BACKOFF."""
    poison_after: int = 2
    """Lost runners after which the job is a failure."""
    confirm_wait: float = 24.0
    """Seconds, at most MAX_BACKOFF, in which a silent runner may come back before the job becomes a failure."""
    quarantine_after: int = 3
    """Errors in a row after which a runner is quarantined."""

    def wait(self, errors: int) -> float:
        """Returns the seconds until the next attempt after so many errors."""
        return min(MAX_BACKOFF, self.delay * 2.0 ** max(0, min(errors, 50) - 1))


def is_current(job: JobRecord | None, attempt: int) -> bool:
    """True when a runner has the job and this is its attempt."""
    return job is not None and job.is_assigned and job.attempt == attempt


def assign(job: JobRecord, runner_id: RunnerId, incarnation: float, now: float) -> JobRecord:
    """Returns the job with a new attempt on the runner. `incarnation`: `started_at` of the runner process."""
    return job.model_copy(
        update={
            "state": JobState.ASSIGNED,
            "attempt": job.attempt + 1,
            "runner_id": runner_id,
            "runner_incarnation": incarnation,
            "assigned_at": now,
            "begun_at": 0.0,
            "tried_runners": (*(tried_id for tried_id in job.tried_runners if tried_id != runner_id), runner_id),
        }
    )


def start(job: JobRecord, at: float) -> JobRecord:
    """Returns the running job. `at`: by the runner's clock."""
    return job.model_copy(update={"state": JobState.RUNNING, "begun_at": at})


def mark_started(job: JobRecord, at: float) -> JobRecord:
    """Sets the start time without a new state, so that no event is emitted."""
    return job.model_copy(update={"begun_at": at})


def finish(job: JobRecord, report: AttemptFinished, policy: RetryPolicy, now: float) -> JobRecord:
    """Returns the job after its current attempt ended: finished, or queued again after an error."""
    if report.outcome is Outcome.ERROR:
        counts = report.code != RUNNER_STOPPED
        loss = poison.runner_loss(job) if report.code == RUNNER_RESTARTED else None
        details = {"code": report.code, "hint": report.hint, "step": report.step, "log": report.log}
        return retry_or_fail(job, report.message, policy, now, counts=counts, loss=loss, **details)
    if job.substituted and report.code == BUILD_DEPENDENCY:
        report = _explain_cycle(job, report)
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
        source_version=report.source_version,
    )


def _explain_cycle(job: JobRecord, report: AttemptFinished) -> AttemptFinished:
    """Returns the report of a member of a cycle that could not begin with the distribution's packages."""
    names = first_few(sorted({job.unit, *job.substituted}))
    return report.model_copy(
        update={
            "code": DEPENDENCY_CYCLE,
            "message": f"units build-depend on each other, and none of them is published: {names};"
            f" the distribution has no packages to begin with: {report.message}",
            "hint": "mark a package that a first build does not need with a build profile (Build-Depends: name"
            " <!stage1>), or remove one Build-Depends until one of the units has been published once",
        }
    )


def retry_or_fail(
    job: JobRecord,
    reason: str,
    policy: RetryPolicy,
    now: float,
    *,
    counts: bool = True,
    loss: RunnerLoss | None = None,
    **details: Any,
) -> JobRecord:
    """Returns the job after an infrastructure error: queued for later, or finished after too many errors.

    `counts`: the error counts against `policy.max_errors`; the next attempt waits.
    `loss`: the loss of the job's runner, which the job may have caused.
    `details`: fields of the job if it is finished."""
    if loss is not None:
        job = job.model_copy(update={"losses": (*job.losses, loss)})
    if poison.is_poison(job, policy.poison_after):
        return fail_as_poison(job)
    errors = job.errors + counts
    if errors >= policy.max_errors:
        message = f"{reason} (attempt {job.attempt} of {policy.max_errors}, none worked)"
        return _finished(job, Outcome.ERROR, **{"errors": errors, "message": message, **details})
    wait = policy.wait(errors) if counts else 0.0
    if poison.may_be_poison(job, policy.poison_after):
        wait, reason = policy.confirm_wait, f"{reason}; unless the runner comes back, the job {poison.message(job)}"
    return job.model_copy(
        update={
            "state": JobState.QUEUED,
            "errors": errors,
            "not_before": now + wait,
            "runner_id": None,
            "message": reason,
        }
    )


def on_runner_seen(
    job: JobRecord, runner_id: RunnerId, incarnation: float, policy: RetryPolicy, now: float
) -> JobRecord:
    """Returns the job after a heartbeat of a runner that was suspected to be lost.

    The loss is dropped or confirmed; the job may then be queued for now, or fail as poison."""
    after = poison.on_runner_seen(job, runner_id, incarnation)
    if after.state is not JobState.QUEUED or not poison.may_be_poison(job, policy.poison_after):
        return after
    if poison.is_poison(after, policy.poison_after):
        return fail_as_poison(after)
    return after if poison.may_be_poison(after, policy.poison_after) else after.model_copy(update={"not_before": now})


def delay_for_isolation(job: JobRecord, now: float) -> JobRecord:
    """Returns the suspect queued for a little later: other suspects run on the runner that it would go to."""
    return job.model_copy(update={"not_before": now + RECHECK_DELAY})


def fail_as_poison(job: JobRecord) -> JobRecord:
    """Returns the job as a failure without another attempt, because that would end another runner."""
    return _finished(job, Outcome.FAILURE, code=poison.CODE, message=poison.message(job), hint=poison.HINT)


def reuse(job: JobRecord, result: BuildResult) -> JobRecord:
    """Returns the job finished with the result of an earlier build."""
    return _finished(
        job,
        Outcome.REUSED,
        artifacts=result.artifacts,
        log=result.log,
        reused_from=result.job_id,
        message="",
        source_version=result.source_version,
        rebuild=result.rebuild,
    )


def build_again(job: JobRecord, rebuild: Rebuild, reason: str) -> JobRecord:
    """Returns a job that was built, queued for another build with that rebuild number. This is no error of the job, and
    the runner that built it may have it again."""
    first_build = tuple(artifact.sha256 for artifact in job.artifacts if artifact.package is not None)
    return job.model_copy(
        update={
            "state": JobState.QUEUED,
            "outcome": None,
            "rebuild": rebuild,
            "first_build": job.first_build or first_build,
            "artifacts": (),
            "source_version": "",
            "not_before": 0.0,
            "runner_id": None,
            "tried_runners": (),
            "offer_count": 0,
            "message": reason,
        }
    )


def fail_published_version(job: JobRecord, message: str) -> JobRecord:
    """Returns the job as a failure, because its packages have the version of published ones and other contents."""
    hint = "Let debian/rules derive the version from debian/changelog, or raise it."
    return _finished(job, Outcome.FAILURE, code="published-version", message=message, hint=hint, artifacts=())


def skip(job: JobRecord, failed_needs: Iterable[str]) -> JobRecord:
    """Returns the job as skipped, because some of its needs did not succeed. `failed_needs`: names for the message."""
    message = f"needs {', '.join(failed_needs)}, which did not succeed"
    return _finished(job, Outcome.SKIPPED, code="dependency-failed", message=message)


def cancel(job: JobRecord, reason: str, code: str = "canceled") -> JobRecord:
    """Returns the job as canceled."""
    return _finished(job, Outcome.CANCELED, code=code, message=reason)


def _finished(job: JobRecord, outcome: Outcome, **fields: Any) -> JobRecord:
    return job.model_copy(update={"state": JobState.FINISHED, "outcome": outcome, "duplicate_of": None, **fields})
