"""Time limits that the scheduler checks: deadlines of requests, and how long a runner loss stays unconfirmed.

A request's deadline counts in seconds from `accepted_at`, by the scheduler's steady clock. No request is late before
all messages of the broker are handled: among them may be the reports that would have ended the request in time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Set

from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.attempt.transitions import RetryPolicy
from cloud_builder.planning.records import JobRecord, RequestRecord
from cloud_builder.ports.mesh import UnitOfWork

from .admission import cancel_jobs
from .state import SchedulerState

CODE = "deadline"
_LOG = logging.getLogger("cb.scheduler")


def check_deadlines(state: SchedulerState, work: UnitOfWork) -> None:
    """Cancels the open requests whose deadline has passed; their code and message say why."""
    if not state.requests.deadlines or not work.caught_up:
        return
    requests, remaining = overdue(state.requests.deadlines, state.requests.by_id, work.now)
    state.requests.replace_deadlines(remaining)
    for request in requests:
        if any(not job.is_finished for job in state.requests.jobs_of(request)):
            _cancel(state, work, request)


def overdue(
    deadlines: Mapping[RequestId, float], requests: Mapping[RequestId, RequestRecord], now: float
) -> tuple[list[RequestRecord], dict[RequestId, float]]:
    """Returns the open requests whose deadline has passed, and the deadlines that remain.

    A deadline that is further ahead than the request allows was computed while the clock was ahead: it counts from
    now."""
    late: list[RequestRecord] = []
    remaining: dict[RequestId, float] = {}
    for request_id, deadline in deadlines.items():
        request = requests.get(request_id)
        if request is None or request.deadline is None:
            continue
        if now >= deadline:
            late.append(request)
        else:
            remaining[request_id] = min(deadline, now + request.deadline)
    return late, remaining


def due(
    suspects: Iterable[Set[JobId]], jobs: Mapping[JobId, JobRecord], policy: RetryPolicy, now: float
) -> list[JobRecord]:
    """Returns suspects as failed poison jobs when their runners stayed silent for longer than `confirm_wait`.

    `suspects`: jobs of unconfirmed runner losses. A job whose wait is longer than that got it from a clock that was
    ahead, and counts as due."""
    suspected = {job_id for job_ids in suspects for job_id in job_ids}
    found = [job for job_id in sorted(suspected) if (job := jobs.get(job_id)) is not None]
    waited = [
        job for job in found if job.state is JobState.QUEUED and not now < job.not_before <= now + policy.confirm_wait
    ]
    return [transitions.fail_as_poison(job) for job in waited if poison.may_be_poison(job, policy.poison_after)]


def _cancel(state: SchedulerState, work: UnitOfWork, request: RequestRecord) -> None:
    assert request.deadline is not None
    message = f"deadline of {request.deadline:g} s passed"
    _LOG.info("deadline", extra={"request": request.request_id, "seconds": request.deadline})
    canceled = request.model_copy(update={"canceled": True, "code": CODE, "message": message})
    cancel_jobs(state, work, canceled, message, CODE)
