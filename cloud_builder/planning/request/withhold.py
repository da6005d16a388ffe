"""Withholds packages of an older commit: they are built and can be fetched, and the repository stays as it is.

Input: the jobs of a request whose commit is not the head of the followed branch, and what is published of their units.
Output: the same jobs, those to withhold with `publish` false and a note that gives the reason.

A job is withheld if a newer commit of its unit is published or being built, if the branch no longer has the unit, or if
the job is built with another unit that is withheld and is not the same as at the head of the branch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cloud_builder.model.events import NEWER_DIGITS, RequestAccepted
from cloud_builder.model.ids import JobId, Revision, TreeId, UnitPath
from cloud_builder.planning.records import JobRecord

PublishedRevisions = Callable[[JobRecord], Sequence[Revision]]
"""Job → the commits of which its unit is published for its target, or is being built to be published."""


def withhold_older(
    request: RequestAccepted,
    jobs: Sequence[JobRecord],
    head: Mapping[UnitPath, TreeId],
    published: PublishedRevisions,
) -> list[JobRecord]:
    """Returns the jobs of a request, each after its needs. `head`: the units at the head of the request's source."""
    if not request.newer_commits:
        return list(jobs)
    newer, different, after = frozenset(request.newer_commits), dict[JobId, UnitPath](), []
    for job in jobs:
        reason = _reason(request, job, head, newer, published(job)) if job.source == request.source else ""
        needs = [different[need] for need in job.needs if need in different]
        if needs or (reason and job.tree != head.get(job.unit)):
            different[job.job_id] = job.unit
        if needs and not reason:
            reason = f"it is built with {needs[0]} of an older commit"
        is_withheld = job.publish and bool(reason)
        changes = {"publish": False, "notes": (*job.notes, _note(reason))}
        after.append(job.model_copy(update=changes) if is_withheld else job)
    return after


def _reason(
    request: RequestAccepted,
    job: JobRecord,
    head: Mapping[UnitPath, TreeId],
    newer: frozenset[str],
    published: Sequence[Revision],
) -> str:
    """Returns why a job of the request's own source is withheld by itself; empty: it is not."""
    if job.unit not in head:
        return "the followed branch no longer has the unit"
    for revision in published:
        if revision[:NEWER_DIGITS] in newer or (request.more_newer and revision != job.revision):
            return f"the repository has those of the newer commit {revision[:10]}"
    return ""


def _note(reason: str) -> str:
    return f"not published, because {reason} (cb-ctl get fetches the packages; --publish-older publishes them)"
