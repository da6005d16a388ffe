"""Pushes in a row: what the newest one makes of those before it.

In come an accepted push and the open pushes of the same source and branch; out comes the push with the units that it
takes over, and, once it is expanded, which jobs of the older ones end and which go on. An older push gives way

    when nothing of it was started   the newer one takes over its units
    when the newer one covers it     each of its jobs is good already, or a job of the newer one, or gone from the tree

and otherwise goes on beside the newer one: nobody else would build what it was sent for. Of one that gives way, a job
that a runner has goes on while the newer push builds the same tree of that unit: it may well be the same build, and
the newer job waits for it then. Nothing that was built is lost: it is found again by its input key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import RequestId, SourceName, UnitPath
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.records import JobRecord, RequestRecord

CODE = "superseded"

Node = tuple[SourceName, UnitPath, str]
"""A unit of a source (a push also builds what needs it in other ones), and the name of a target."""


@dataclass(frozen=True)
class Push:
    """An open request with all its jobs."""

    request: RequestRecord
    jobs: tuple[JobRecord, ...]

    @property
    def has_started(self) -> bool:
        """A runner had one of its jobs. What was reused or found unchanged needed none."""
        return any(job.attempt for job in self.jobs)

    @property
    def units(self) -> set[UnitPath]:
        return {job.unit for job in self.jobs if job.is_requested and job.source == self.request.source}


@dataclass(frozen=True)
class SupersededPush:
    """An older push as it is now, and its jobs that end, as they were: the runner of one that is held must be told."""

    request: RequestRecord
    ended: tuple[JobRecord, ...]


def can_be_superseded(older: RequestRecord, newer: RequestAccepted) -> bool:
    """Both are pushes to the same branch, and the older one has not been given up already."""
    return (
        (older.origin, newer.origin) == ("push", "push")
        and (older.source, older.ref) == (newer.source, newer.ref)
        and older.request_id != newer.request_id
        and older.accepted_at <= newer.accepted_at
        and not (older.canceled or older.code)
    )


def absorb_unstarted(newer: RequestAccepted, older: Iterable[Push]) -> RequestAccepted:
    """The newer push, with the units of those that it replaces before anything of them was started."""
    units = set(newer.units).union(*(push.units for push in older if not push.has_started))
    return newer.model_copy(update={"units": tuple(sorted(units))}) if units != set(newer.units) else newer


def supersede(
    newer: RequestAccepted, jobs: Sequence[JobRecord], older: Iterable[Push], alive: Collection[UnitPath]
) -> list[SupersededPush]:
    """`jobs`: what the newer push became, `taking_over` done. `alive`: the units of its snapshot."""
    known: dict[Node, list[JobRecord]] = defaultdict(list)
    for job in jobs:
        known[_node(job)].append(job)
    found = []
    for push in older:
        unfinished = [job for job in push.jobs if not job.is_finished]
        if unfinished and (not push.has_started or _is_covered(push, known, alive)):
            message = f"superseded by {newer.request_id}"
            request = push.request.model_copy(update={"code": CODE, "message": message})
            found.append(SupersededPush(request, tuple(job for job in unfinished if not _goes_on(job, known))))
    return found


def end(job: JobRecord, by: RequestId) -> JobRecord:
    """A job that a newer push builds instead."""
    told = {"outcome": Outcome.SUPERSEDED, "code": CODE, "message": f"superseded by {by}"}
    return job.model_copy(update={"state": JobState.FINISHED, "duplicate_of": None, **told})


def _is_covered(push: Push, known: Mapping[Node, Sequence[JobRecord]], alive: Collection[UnitPath]) -> bool:
    return all(job.is_good or _node(job) in known or _is_gone(push, job, alive) for job in push.jobs)


def _is_gone(push: Push, job: JobRecord, alive: Collection[UnitPath]) -> bool:
    return job.source == push.request.source and job.unit not in alive


def _goes_on(job: JobRecord, known: Mapping[Node, Sequence[JobRecord]]) -> bool:
    return job.is_assigned and any(_own(job) == _own(newer) for newer in known.get(_node(job), ()))


def _own(job: JobRecord) -> tuple[object, ...]:
    """What the unit itself brings to its input key."""
    return job.tree, job.target, job.buildroot, job.repositories, job.profiles


def _node(job: JobRecord) -> Node:
    return job.source, job.unit, job.target.name
