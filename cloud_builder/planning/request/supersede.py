"""Supersedes older pushes of a branch by the newest one.

*Input:* an accepted push and the open pushes of the same source and branch. *Output:* the push with the units that it
takes over; after its expansion: the jobs of older pushes that end. An older push is superseded

    when no job of it was started    the newer push takes over its units
    when the newer push covers it    each of its jobs is good, or also a job of the newer push, or its unit was removed

Otherwise the older push continues beside the newer one, because no other request builds its units.

A job of a superseded push that a runner has continues if the newer push builds the same tree of the unit: it may be the
same build, and then the newer job waits for its result. Finished builds are not lost: their input keys find them.
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
"""A unit of a source (a push also builds its dependants in other sources), and the name of a target."""


@dataclass(frozen=True)
class Push:
    """An open request with all its jobs."""

    request: RequestRecord
    jobs: tuple[JobRecord, ...]

    @property
    def has_started(self) -> bool:
        """True when a runner had one of its jobs. Reused and unchanged jobs need no runner."""
        return any(job.attempt for job in self.jobs)

    @property
    def units(self) -> set[UnitPath]:
        return {job.unit for job in self.jobs if job.is_requested and job.source == self.request.source}


@dataclass(frozen=True)
class SupersededPush:
    """An older push that is superseded."""

    request: RequestRecord
    """The request with its new code and message."""
    ended: tuple[JobRecord, ...]
    """Its jobs that end, in the state before: the runner of an assigned job must get a `job.revoked`."""


def can_be_superseded(older: RequestRecord, newer: RequestAccepted) -> bool:
    """True when both are pushes to the same branch, and the older one is neither canceled nor superseded."""
    return (
        (older.origin, newer.origin) == ("push", "push")
        and (older.source, older.ref) == (newer.source, newer.ref)
        and older.request_id != newer.request_id
        and older.accepted_at <= newer.accepted_at
        and not (older.canceled or older.code)
    )


def absorb_unstarted(newer: RequestAccepted, older: Iterable[Push]) -> RequestAccepted:
    """Returns the newer push with the units of the older pushes of which no job was started."""
    units = set(newer.units).union(*(push.units for push in older if not push.has_started))
    return newer.model_copy(update={"units": tuple(sorted(units))}) if units != set(newer.units) else newer


def supersede(
    newer: RequestAccepted, jobs: Sequence[JobRecord], older: Iterable[Push], units: Collection[UnitPath]
) -> list[SupersededPush]:
    """Returns the older pushes that the newer one supersedes.

    `jobs`: the expanded newer push, after `absorb_unstarted`. `units`: all units of its snapshot."""
    newer_jobs: dict[Node, list[JobRecord]] = defaultdict(list)
    for job in jobs:
        newer_jobs[_node(job)].append(job)
    superseded = []
    for push in older:
        unfinished = [job for job in push.jobs if not job.is_finished]
        if unfinished and (not push.has_started or _is_covered(push, newer_jobs, units)):
            message = f"superseded by {newer.request_id}"
            request = push.request.model_copy(update={"code": CODE, "message": message})
            ended = tuple(job for job in unfinished if not _continues(job, newer_jobs))
            superseded.append(SupersededPush(request, ended))
    return superseded


def end(job: JobRecord, by: RequestId) -> JobRecord:
    """Returns the job finished as superseded by a newer push."""
    details = {"outcome": Outcome.SUPERSEDED, "code": CODE, "message": f"superseded by {by}"}
    return job.model_copy(update={"state": JobState.FINISHED, "duplicate_of": None, **details})


def _is_covered(push: Push, newer_jobs: Mapping[Node, Sequence[JobRecord]], units: Collection[UnitPath]) -> bool:
    return all(job.is_good or _node(job) in newer_jobs or _is_removed(push, job, units) for job in push.jobs)


def _is_removed(push: Push, job: JobRecord, units: Collection[UnitPath]) -> bool:
    return job.source == push.request.source and job.unit not in units


def _continues(job: JobRecord, newer_jobs: Mapping[Node, Sequence[JobRecord]]) -> bool:
    return job.is_assigned and any(_own_inputs(job) == _own_inputs(newer) for newer in newer_jobs.get(_node(job), ()))


def _own_inputs(job: JobRecord) -> tuple[object, ...]:
    """Returns the inputs of a job that come from its unit, without its dependencies."""
    return job.tree, job.target, job.buildroot, job.repositories, job.profiles, job.build_options


def _node(job: JobRecord) -> Node:
    return job.source, job.unit, job.target.name
