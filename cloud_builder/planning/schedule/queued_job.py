"""The values of the job queue: its policy, queued and active jobs, and the keys that they are sorted by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud_builder.model.ids import JobId, SourceName
from cloud_builder.model.priority import Priority

USAGE_HALF_LIFE = 3600.0
"""Seconds after which used slot-seconds count half."""

CLASSES = len(Priority)

AGEING_STEPS = (1.0, 10.0)
"""Multiples of `QueuePolicy.ageing` after which a job counts as one class higher, and as two.

The first step is early, because a job gets its share in the class above. The second only keeps bulk work from waiting
for ever: in the highest class people wait."""


AGED_WORK_RATIO = 4.0
"""How many times larger the share of more urgent work is than that of work of the same source that has aged into its
class."""


@dataclass(frozen=True)
class QueuePolicy:
    """The rules of the queue, from the settings.

    `ageing`: seconds of waiting after which a job counts as one class higher (see AGEING_STEPS).
    `weights`: by the name of a source or of a requester; 1 if not named.
    `quotas`: the most slots, by the name of a source or of a requester.
    """

    ageing: float = 1800.0
    weights: Mapping[str, float] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)


class QueuedJob(NamedTuple):
    """A job that waits for a slot.

    `requirements`: what it asks of a runner; the queue only compares them.
    `since`: when the job became ready.
    `sequence`: the request's; the oldest request has the lowest.
    `critical_path`: seconds from the job's start to the end of the longest chain of jobs that wait for it.
    `number`: the job's number in its request.
    """

    job_id: JobId
    requirements: Hashable
    source: SourceName
    requester: str
    priority: Priority
    since: float
    sequence: float
    critical_path: float
    number: int


class ActiveJob(NamedTuple):
    """A job that has a slot. `since`: when it got the slot."""

    job_id: JobId
    source: SourceName
    requester: str
    priority: Priority
    since: float


SortKey = tuple[float, float, int, JobId]
"""Sorts the jobs of a requester: older requests first, in a request the longest path first, then by number."""

RequesterClass = tuple[int, str]
"""(rank, requester): a requester is counted separately in each of its priority classes, so that its urgent work need
not wait for its own aged bulk work."""


def sort_key(job: QueuedJob) -> SortKey:
    return (job.sequence, -job.critical_path, job.number, job.job_id)


def requester_class(job: QueuedJob | ActiveJob) -> RequesterClass:
    return (job.priority.rank, job.requester)
