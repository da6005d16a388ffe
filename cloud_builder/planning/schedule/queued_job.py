"""The words of the order: rules, jobs that wait or hold a slot, and the marks by which they are told apart."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud_builder.model.ids import JobId, SourceName
from cloud_builder.model.priority import Priority

USAGE_HALF_LIFE = 3600.0
"""Seconds after which what was used counts half."""

CLASSES = len(Priority)

AGEING_STEPS = (1.0, 10.0)
"""After how many times `ageing` a job has risen by one class, and by two: soon enough into the class above, where it
gets its share; into the one of those who sit and wait only lest it never has its turn."""


AGED_WORK_RATIO = 4.0
"""Beside work that has risen into its class, more urgent work of the same source has so many times the share."""


@dataclass(frozen=True)
class QueuePolicy:
    """`ageing`: seconds of waiting after which work counts as that of the class above (see RISES).

    `weights` and `quotas` (slots): by the name of a source or of a requester."""

    ageing: float = 1800.0
    weights: Mapping[str, float] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)


class QueuedJob(NamedTuple):
    """A job that waits for a slot. `pool`: who may take it (anything hashable). `since`: when its waiting began.

    `sequence`: of its request, the oldest has the lowest. `critical_path`: seconds to the end of the longest chain of
    jobs that wait for it; `number`: its place in the request."""

    job_id: JobId
    pool: Hashable
    source: SourceName
    requester: str
    priority: Priority
    since: float
    sequence: float
    critical_path: float
    number: int


class ActiveJob(NamedTuple):
    """A job that has a slot. `since`: when it got it."""

    job_id: JobId
    source: SourceName
    requester: str
    priority: Priority
    since: float


SortKey = tuple[float, float, int, JobId]
"""In a lane: older requests first, in a request the longest way first, then by number."""

RequesterClass = tuple[int, str]
"""A requester in one of its classes: urgent work of somebody need not wait for the old bulk work of the same one."""


def sort_key(ticket: QueuedJob) -> SortKey:
    return (ticket.sequence, -ticket.critical_path, ticket.number, ticket.job_id)


def requester_class(one: QueuedJob | ActiveJob) -> RequesterClass:
    return (one.priority.rank, one.requester)
