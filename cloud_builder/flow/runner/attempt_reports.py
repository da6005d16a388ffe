"""Reports of attempts that did not end by their build: assignment → `attempt.finished`. Pure functions."""

from __future__ import annotations

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.attempt.transitions import LOST_BROKER, RUNNER_RESTARTED, RUNNER_STOPPED


def reclassify_stop(report: e.AttemptFinished, why: str) -> e.AttemptFinished:
    """Turns the outcome `canceled` into an error when the runner itself stopped the build because it lost the broker.

    Nobody canceled that job: another runner has to try it."""
    if report.outcome is Outcome.CANCELED and why == LOST_BROKER:
        return report.model_copy(
            update={"outcome": Outcome.ERROR, "code": why, "message": "the runner could not reach the broker"}
        )
    return report


def released_report(assignment: e.JobAssigned, now: float) -> e.AttemptFinished:
    """Returns the report of a runner that is stopped: the attempt counts no error, and another runner gets the job."""
    return finished_report(assignment, now, RUNNER_STOPPED, f"runner {assignment.runner_id} was stopped")


def lost_report(assignment: e.JobAssigned, now: float) -> e.AttemptFinished:
    """Returns the report of a restarted runner about an attempt of its earlier incarnation."""
    message = f"runner {assignment.runner_id} ended during this build and was restarted"
    return finished_report(assignment, now, RUNNER_RESTARTED, message)


def finished_report(
    assignment: e.JobAssigned, now: float, code: str, message: str, outcome: Outcome = Outcome.ERROR
) -> e.AttemptFinished:
    return e.AttemptFinished(
        job_id=assignment.job_id,
        attempt=assignment.attempt,
        runner_id=assignment.runner_id,
        outcome=outcome,
        code=code,
        message=message,
        started_at=now,
        finished_at=now,
    )
