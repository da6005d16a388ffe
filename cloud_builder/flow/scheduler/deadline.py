"""Requests whose time is over: what has not ended is canceled, and the request says why.

Seconds count from `accepted_at`, by the scheduler's steady clock. Before all that the broker had is handled nothing is
late: the reports that would have ended the request in time may be among it.
"""

from __future__ import annotations

import logging

from cloud_builder.planning.records import RequestRecord
from cloud_builder.ports.mesh import UnitOfWork

from .admission import cancel_jobs
from .state import SchedulerState

CODE = "deadline"
log = logging.getLogger("cb.scheduler")


def check(world: SchedulerState, work: UnitOfWork) -> None:
    if not world.faults.deadlines or not work.caught_up:
        return
    for request in world.faults.overdue(world, work.now):
        if any(not job.is_finished for job in world.jobs_of(request)):
            _end(world, work, request)


def _end(world: SchedulerState, work: UnitOfWork, request: RequestRecord) -> None:
    assert request.deadline is not None
    message = f"deadline of {request.deadline:g} s passed"
    log.info("deadline", extra={"request": request.request_id, "seconds": request.deadline})
    cancel_jobs(
        world, work, request.model_copy(update={"canceled": True, "code": CODE, "message": message}), message, CODE
    )
