"""Builds the events that answer a request: accepted and pinned to a commit, or rejected with the cause."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.model.events import NEWER_DIGITS, BuildRequested, RequestAccepted, RequestRejected
from cloud_builder.model.ids import RequestId, Revision, SourceName, UnitPath
from cloud_builder.model.priority import Priority
from cloud_builder.model.text import utf8
from cloud_builder.model.unit import DeletedUnit, Problem, Unit

from .resolution import MAX_NEWER_COMMITS, ResolvedCommit
from .select import check_profiles, select

_MAX_TEXT = 4000
"""Characters of a message or hint; the rest is dropped."""
_MAX_PROBLEMS = 20
"""Problems that an acceptance lists; `source.revised` has all of them."""


def accepted_event(
    request: BuildRequested,
    request_id: RequestId,
    commit: ResolvedCommit,
    *,
    branch: str,
    at: float,
    changed: tuple[UnitPath, ...] = (),
    deleted: tuple[DeletedUnit, ...] = (),
) -> RequestAccepted:
    """Returns the acceptance of a request.

    `changed`: the units that differ from the commit that the request names in `since`, if it names one.
    `deleted`: the units of that commit that are gone.
    Raises Rejected when the request names what the commit does not have.
    """
    ref = request.ref or branch
    where = f"source {request.source} at {_ref_and_revision(ref, commit.revision)}"
    units = select(commit.discovered, request.units, request.targets, where=where)
    check_profiles(units, request.profiles)
    if request.publish_older and not commit.is_on_branch:
        hint = f"Merge it into {branch}, or leave out --publish-older: its packages can be fetched with cb-ctl get."
        message = f"{where}: is not on {branch}, so its packages cannot be published"
        raise Rejected(message, code="not-on-branch", hint=hint)
    newer = () if request.publish_older else commit.newer[:MAX_NEWER_COMMITS]
    if request.since:
        units = _changed_units(units, changed, deleted, request.since, where)
    return RequestAccepted(
        request_id=request_id,
        source=request.source,
        ref=ref,
        revision=commit.revision,
        units=tuple(unit.path for unit in units),
        targets=request.targets,
        deleted=deleted,
        profiles=tuple(sorted(set(request.profiles))),
        build_options=tuple(sorted(set(request.build_options))),
        requester=request.requester,
        dependants=request.dependants,
        publish=commit.is_on_branch,
        newer_commits=tuple(revision[:NEWER_DIGITS] for revision in newer),
        more_newer=bool(newer) and len(commit.newer) > MAX_NEWER_COMMITS,
        priority=request.priority or (Priority.BULK if request.all else Priority.NORMAL),
        deadline=request.deadline,
        force=request.force,
        plan=request.plan,
        problems=_problems(units),
        accepted_at=at,
    )


def _changed_units(
    units: tuple[Unit, ...],
    changed: tuple[UnitPath, ...],
    deleted: tuple[DeletedUnit, ...],
    since: str,
    where: str,
) -> tuple[Unit, ...]:
    """Returns the selected units that have changed. Raises Rejected when none has, and none is deleted."""
    changed_paths = frozenset(changed)
    found = tuple(unit for unit in units if unit.path in changed_paths)
    if not found and not deleted:
        hint = "Nothing has to be built. To build all the same, name units or say all."
        raise Rejected(f"{where}: no unit has changed since {since}", code="nothing-changed", hint=hint)
    return found


def push_accepted_event(
    request_id: RequestId,
    source: SourceName,
    branch: str,
    commit: ResolvedCommit,
    units: tuple[UnitPath, ...],
    *,
    at: float,
    deleted: tuple[DeletedUnit, ...] = (),
) -> RequestAccepted:
    """Returns the request that a push makes: the changed units and their dependants, also those of deleted units."""
    paths = frozenset(units)
    return RequestAccepted(
        request_id=request_id,
        source=source,
        ref=branch,
        revision=commit.revision,
        units=units,
        deleted=deleted,
        problems=_problems(unit for unit in commit.discovered.units if unit.path in paths),
        requester="push",
        origin="push",
        dependants=True,
        publish=True,
        accepted_at=at,
    )


def _problems(units: Iterable[Unit]) -> tuple[Problem, ...]:
    """Returns the first problems of the broken units."""
    return tuple(islice((problem for unit in units for problem in unit.problems), _MAX_PROBLEMS))


def rejected_event(
    request_id: RequestId, error: CloudBuilderError, *, source: str, ref: str = "", requester: str = "", at: float
) -> RequestRejected:
    """Returns the rejection of a request.

    Long texts are shortened: they hold text of the client. Names of files in them may not be UTF-8.
    """
    return RequestRejected(
        request_id=request_id,
        source=SourceName(source[:100]),
        ref=ref[:250],
        code=error.code,
        message=utf8(error.message[:_MAX_TEXT]),
        hint=utf8(error.hint[:_MAX_TEXT]),
        requester=requester[:250],
        rejected_at=at,
    )


def _ref_and_revision(ref: str, revision: Revision) -> str:
    return revision[:10] if revision.startswith(ref) else f"{ref} ({revision[:10]})"
