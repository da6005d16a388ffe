"""Reports of attempts that did not end by their build: in goes the order, out goes what the scheduler is told."""

from __future__ import annotations

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.attempt.transitions import DIED, HANDED_BACK, LOST_BROKER


def as_told(report: e.AttemptFinished, why: str) -> e.AttemptFinished:
    """A build that we stopped ourselves for want of a broker is nobody's cancel: another runner shall try."""
    if report.outcome is Outcome.CANCELED and why == LOST_BROKER:
        return report.model_copy(
            update={"outcome": Outcome.ERROR, "code": why, "message": "the runner could not reach the broker"}
        )
    return report


def handed_back(order: e.JobAssigned, now: float) -> e.AttemptFinished:
    return ended(order, now, HANDED_BACK, f"runner {order.runner_id} was told to stop")


def died(order: e.JobAssigned, now: float) -> e.AttemptFinished:
    return ended(order, now, DIED, f"runner {order.runner_id} died while it built this")


def ended(
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
