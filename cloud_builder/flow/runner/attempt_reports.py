"""Reports of attempts that did not end by their build: in goes the order, out goes what the scheduler is told."""

from __future__ import annotations

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.attempt.transitions import LOST_BROKER, RUNNER_RESTARTED, RUNNER_STOPPED


def reclassify_stop(report: e.AttemptFinished, why: str) -> e.AttemptFinished:
    """A build that we stopped ourselves for want of a broker is nobody's cancel: another runner shall try."""
    if report.outcome is Outcome.CANCELED and why == LOST_BROKER:
        return report.model_copy(
            update={"outcome": Outcome.ERROR, "code": why, "message": "the runner could not reach the broker"}
        )
    return report


def released_report(order: e.JobAssigned, now: float) -> e.AttemptFinished:
    return finished_report(order, now, RUNNER_STOPPED, f"runner {order.runner_id} was told to stop")


def lost_report(order: e.JobAssigned, now: float) -> e.AttemptFinished:
    return finished_report(order, now, RUNNER_RESTARTED, f"runner {order.runner_id} died while it built this")


def finished_report(
    order: e.JobAssigned, now: float, code: str, message: str, outcome: Outcome = Outcome.ERROR
) -> e.AttemptFinished:
    return e.AttemptFinished(
        job_id=order.job_id,
        attempt=order.attempt,
        runner_id=order.runner_id,
        outcome=outcome,
        code=code,
        message=message,
        started_at=now,
        finished_at=now,
    )
