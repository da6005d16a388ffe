"""What an answer of git leads to: the events, in the order that readers count on, and the entries in the Book.

On one partition: source.revised of the commit, then request.accepted. A push is noticed here.
"""

from __future__ import annotations

import logging

from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.model.events import BuildRequested, RequestAccepted
from cloud_builder.model.ids import SourceName
from cloud_builder.ports.mesh import UnitOfWork

from .announcement import changed_units, snapshot_events, unit_trees
from .replies import accepted_event, push_accepted_event, push_id, rejected_event
from .resolver import ResolvedCommit, ResolveResult
from .store import (
    AnnouncedCommit,
    BranchHead,
    FollowedSource,
    PendingRequest,
    RequestEntry,
    RequestStatus,
    RequestStore,
)

_LOG = logging.getLogger("cb.request")


class SourceReconciler:
    """Works within one transaction."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        self._book = RequestStore(work.documents)

    def reconcile_branch(
        self, name: SourceName, source: FollowedSource, answer: ResolveResult, sight: ResolvedCommit, *, is_built: bool
    ) -> None:
        """The tip of the followed branch: announced when it is new, and built when it was pushed."""
        branch, before = answer.branch, self._book.tip(name)
        if before is not None and (before.url, before.branch) != (source.url, branch):
            before = None
        seen = (sight.revision, sight.digest)
        if before is not None and before.is_announced and (before.revision, before.digest) == seen:
            return
        is_told = before is not None and before.revision == answer.question.announced_revision
        self._announce(name, source, branch, sight, followed=True, told=answer if is_told else None)
        now = BranchHead(
            url=source.url, branch=branch, revision=seen[0], digest=seen[1], trees=unit_trees(sight.snapshot)
        )
        self._book.put_tip(name, now)
        if before is not None and before.revision != sight.revision and is_built:
            self._build_push(name, branch, sight, before)

    def resolve_request(
        self, wish: PendingRequest, sight: ResolvedCommit, source: FollowedSource, answer: ResolveResult
    ) -> None:
        """Accepts or rejects a wish by what is at its commit."""
        accepted = wish.accepted
        try:
            if accepted is None:
                assert wish.request is not None
                sought = answer.changed.get(wish.span)
                changed = sought if isinstance(sought, tuple) else ()
                branch, now = answer.branch, self._work.now
                accepted = accepted_event(wish.request, wish.request_id, sight, branch=branch, at=now, changed=changed)
        except Rejected as error:
            self.reject(wish, error)
            return
        followed = isinstance(answer.head, ResolvedCommit) and answer.head.revision == sight.revision
        self._announce(wish.source, source, answer.branch, sight, followed=followed)
        self._accept(accepted, wish.request)

    def reject(self, wish: PendingRequest, error: CloudBuilderError) -> None:
        now = self._work.now
        told = wish.request or wish.accepted
        self._book.drop_pending(wish.request_id)
        self._book.put_request(
            wish.request_id, RequestEntry(standing=RequestStatus.REJECTED, at=now, request=wish.request)
        )
        who = {
            "source": wish.source,
            "ref": told.ref if told else wish.ref,
            "requester": told.requester if told else "",
        }
        self._work.emit(rejected_event(wish.request_id, error, **who, at=now))
        _LOG.info("rejected", extra={"request": wish.request_id, "code": error.code, "cause": error.message})

    def _build_push(self, name: SourceName, branch: str, sight: ResolvedCommit, before: BranchHead) -> None:
        units = changed_units(before.trees, sight.snapshot)
        if not units:
            _LOG.info("push changes no unit", extra={"source": name, "revision": sight.revision[:10]})
            return
        number = 0
        while self._book.request(request_id := push_id(name, sight.revision, number)) is not None:
            number += 1
        self._accept(push_accepted_event(request_id, name, branch, sight.revision, units, at=self._work.now), None)

    def _announce(
        self,
        name: SourceName,
        source: FollowedSource,
        branch: str,
        sight: ResolvedCommit,
        *,
        followed: bool,
        told: ResolveResult | None = None,
    ) -> None:
        """Unless it is what was announced last: readers keep one commit a source. `told`: says what changed."""
        announced = AnnouncedCommit(revision=sight.revision, digest=sight.digest, followed=followed)
        if self._book.announced(name) == announced:
            return
        self._book.put_announced(name, announced)
        since = told.question.announced_revision if told is not None and told.changes is not None else None
        changes = (told.changes or ()) if told is not None else ()
        for part in snapshot_events(
            name, source.url, branch, sight.revision, sight.snapshot, followed=followed, since=since, changes=changes
        ):
            self._work.emit(part)
        found = {"units": len(sight.snapshot.units), "problems": len(sight.snapshot.problems)}
        _LOG.info("announced", extra={"source": name, "revision": sight.revision[:10], "followed": followed, **found})

    def _accept(self, accepted: RequestAccepted, wanted: BuildRequested | None) -> None:
        known = self._book.request(accepted.request_id)
        wanted = wanted or (known.request if known is not None else None)
        request = RequestEntry(standing=RequestStatus.ACCEPTED, at=self._work.now, request=wanted, accepted=accepted)
        self._book.put_request(accepted.request_id, request)
        self._book.drop_pending(accepted.request_id)
        self._work.emit(accepted)
        about = {"source": accepted.source, "revision": accepted.revision[:10], "units": len(accepted.units)}
        _LOG.info("accepted", extra={"request": accepted.request_id, "origin": accepted.origin, **about})
