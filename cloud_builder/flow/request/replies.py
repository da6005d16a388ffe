"""A wish and what git said of it → the event that answers: accepted and pinned to a commit, or rejected with cause."""

from __future__ import annotations

from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.model.events import BuildRequested, RequestAccepted, RequestRejected
from cloud_builder.model.ids import RequestId, Revision, SourceName, UnitPath
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import Unit

from .resolver import ResolvedCommit
from .select import select

_MOST_TEXT = 4000


def accepted_event(
    wish: BuildRequested,
    request_id: RequestId,
    sight: ResolvedCommit,
    *,
    branch: str,
    at: float,
    changed: tuple[UnitPath, ...] = (),
) -> RequestAccepted:
    """`changed`: the units that differ from the commit the wish names, if it names one.

    Raises Rejected when the wish names what the commit does not have."""
    ref = wish.ref or branch
    where = f"source {wish.source} at {_shown(ref, sight.revision)}"
    units = select(sight.snapshot, wish.units, wish.targets, where=where)
    if wish.since:
        units = _changed_units(units, changed, wish.since, where)
    return RequestAccepted(
        request_id=request_id,
        source=wish.source,
        ref=ref,
        revision=sight.revision,
        units=tuple(unit.path for unit in units),
        targets=wish.targets,
        requester=wish.requester,
        dependants=wish.dependants,
        publish=sight.is_on_branch,
        priority=wish.priority or (Priority.BULK if wish.all else Priority.NORMAL),
        deadline=wish.deadline,
        plan=wish.plan,
        accepted_at=at,
    )


def _changed_units(units: tuple[Unit, ...], changed: tuple[UnitPath, ...], since: str, where: str) -> tuple[Unit, ...]:
    """Those that changed."""
    ours = frozenset(changed)
    found = tuple(unit for unit in units if unit.path in ours)
    if not found:
        hint = "Nothing has to be built. To build all the same, name units or say all."
        raise Rejected(f"{where}: no unit has changed since {since}", code="nothing-changed", hint=hint)
    return found


def push_accepted_event(
    request_id: RequestId,
    source: SourceName,
    branch: str,
    revision: Revision,
    units: tuple[UnitPath, ...],
    *,
    at: float,
) -> RequestAccepted:
    """What a push changed, and whatever builds with it."""
    return RequestAccepted(
        request_id=request_id,
        source=source,
        ref=branch,
        revision=revision,
        units=units,
        requester="push",
        origin="push",
        dependants=True,
        publish=True,
        accepted_at=at,
    )


def push_id(source: SourceName, revision: Revision, number: int) -> RequestId:
    """`number`: how often this commit has been pushed before (a forced push back and forth)."""
    again = f"-{number}" if number else ""
    return RequestId(f"push-{source.replace('+', '_')}-{revision[:10]}{again}")


def rejected_event(
    request_id: RequestId, error: CloudBuilderError, *, source: str, ref: str = "", requester: str = "", at: float
) -> RequestRejected:
    """Long texts are cut: they may hold whatever the client sent, and names of files that are not UTF-8."""
    return RequestRejected(
        request_id=request_id,
        source=SourceName(source[:100]),
        ref=ref[:250],
        code=error.code,
        message=_utf8(error.message[:_MOST_TEXT]),
        hint=_utf8(error.hint[:_MOST_TEXT]),
        requester=requester[:250],
        rejected_at=at,
    )


def _utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _shown(ref: str, revision: Revision) -> str:
    return revision[:10] if revision.startswith(ref) else f"{ref} ({revision[:10]})"
