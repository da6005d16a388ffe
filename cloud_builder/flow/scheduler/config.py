"""The scheduler's settings as its modules use them."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.settings import SchedulerSettings
from cloud_builder.planning.attempt.transitions import MAX_BACKOFF, RetryPolicy
from cloud_builder.planning.schedule.queue import QueuePolicy

_DAY = 86400.0


@dataclass(frozen=True)
class SchedulerConfig:
    """Values that stay the same for as long as the process runs.

    retries            how often, and how soon, a job is tried again; when a runner is quarantined
    queue_policy       in which order queued jobs get slots
    lease              seconds that an attempt, or its runner, may stay silent
    cycle_rounds       the most rounds of a dependency cycle
    objects_url        where clients fetch artifacts by their digest
    is_shared          jobs are offered to shared queues where possible
    request_retention  seconds that finished requests and their jobs are kept
    result_retention   seconds that a build result is kept after its last use
    """

    retries: RetryPolicy
    queue_policy: QueuePolicy
    lease: float
    cycle_rounds: int
    objects_url: str
    is_shared: bool
    request_retention: float
    result_retention: float

    @classmethod
    def from_settings(
        cls, settings: SchedulerSettings, objects_url: str, dispatch: Dispatch = Dispatch.DIRECTED
    ) -> SchedulerConfig:
        retries = RetryPolicy(
            settings.max_errors,
            settings.retry_delay,
            poison_after=settings.poison_after,
            confirm_wait=min(MAX_BACKOFF, 2 * settings.lease),
            quarantine_after=settings.quarantine_after,
        )
        return cls(
            retries=retries,
            queue_policy=QueuePolicy(settings.ageing, settings.weights, settings.quotas),
            lease=settings.lease,
            cycle_rounds=settings.cycle_rounds,
            objects_url=objects_url,
            is_shared=dispatch is Dispatch.SHARED_QUEUE,
            request_retention=settings.request_retention * _DAY,
            result_retention=settings.result_retention * _DAY,
        )
