"""Decides what follows from a resolve result.

Input: the result, the stored entries of its source, and the time.
Output: a `Decision`: events in the order that their readers rely on, and changes of the store.
Must not: read or write anything. The flow applies the decision in one transaction.

    part of the result             when                                        decision
    head of the followed branch    other commit or units than announced        source.revised
                                   a push that changes or deletes units        request.accepted, origin `push`
    error of the source            other than the one reported last            source.troubled
    commit of a pending request    the request can be met                      source.revised, request.accepted
                                   it names what the commit does not have      request.rejected
    error for a pending request    temporary, and not for too long             the request is postponed
                                   otherwise                                   request.rejected
    no part for the request        it was received after the query             the request stays pending

A commit that was announced last is not announced again. `source.revised` of a commit precedes each `request.accepted`
that is pinned to it, and both have the same partition.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud_builder.errors import CloudBuilderError, Rejected, Retryable
from cloud_builder.model.events import BuildRequested, Payload, RequestAccepted, SourceTroubled
from cloud_builder.model.ids import RequestId
from cloud_builder.ports.source import NO_COMMITS

from .announcement import broken_units, changed_units, snapshot_events, unit_trees
from .entries import (
    AnnouncedCommit,
    BranchHead,
    PendingRequest,
    RequestEntry,
    RequestStatus,
    SourceEntries,
    StoreChanges,
)
from .replies import accepted_event, push_accepted_event, rejected_event
from .resolution import ResolvedCommit, ResolveQuery, ResolveResult
from .retries import may_retry, postpone


@dataclass(frozen=True)
class Decision:
    """Events to emit, and changes of the store. `is_empty_push`: a push changed no unit, so nothing is built."""

    events: tuple[Payload, ...]
    changes: StoreChanges
    is_empty_push: bool = False


def reconcile(result: ResolveResult, stored: SourceEntries, now: float, *, build_pushes: bool) -> Decision:
    """Returns what follows from a resolve result. `build_pushes`: a push makes a request."""
    draft = _Draft(result, stored, now)
    draft.reconcile_head(build_pushes=build_pushes)
    draft.report_error()
    for pending in stored.pending:
        draft.answer(pending)
    return draft.decision()


def rejection(pending: PendingRequest, error: CloudBuilderError, now: float) -> Decision:
    """Returns the decision to reject one request."""
    entry = RequestEntry(status=RequestStatus.REJECTED, at=now, request=pending.request)
    changes = StoreChanges(pending.source, requests={pending.request_id: entry})
    request = pending.request or pending.accepted
    ref, requester = (request.ref, request.requester) if request is not None else (pending.ref, "")
    event = rejected_event(pending.request_id, error, source=pending.source, ref=ref, requester=requester, at=now)
    return Decision((event,), changes)


class _Draft:
    """A decision while it is made. Each announcement depends on the one before, so the parts are added in order."""

    def __init__(self, result: ResolveResult, stored: SourceEntries, now: float) -> None:
        self._result = result
        self._stored = stored
        self._now = now
        self._events: list[Payload] = []
        self._head: BranchHead | None = None
        self._announced = stored.announced
        self._error: str | None = None
        self._requests: dict[RequestId, RequestEntry] = {}
        self._postponed: list[PendingRequest] = []
        self._is_empty_push = False

    def decision(self) -> Decision:
        changes = StoreChanges(
            source=self._result.query.source,
            head=self._head,
            announced=self._announced if self._announced != self._stored.announced else None,
            error=self._error,
            requests=self._requests,
            postponed=tuple(self._postponed),
        )
        return Decision(tuple(self._events), changes, self._is_empty_push)

    def reconcile_head(self, *, build_pushes: bool) -> None:
        """Announces the head of the followed branch when it is new, and makes a request of a push."""
        query, branch, commit, before = self._result.query, self._result.branch, self._result.head, self._stored.head
        if before is not None and not _is_followed(before, query, branch):
            before = None  # Another branch is followed: its first commit is no push.
        if not isinstance(commit, ResolvedCommit):
            if before is None and commit is not None and commit.code in ("unknown-ref", NO_COMMITS):
                self._head = BranchHead(url=query.url, followed=query.branch)
            return
        resolved = (branch, commit.revision, commit.digest)
        if before is not None and before.is_announced and (before.branch, before.revision, before.digest) == resolved:
            return
        has_changes = before is not None and before.revision == query.announced_revision
        self._announce(commit, followed=True, has_changes=has_changes)
        self._head = BranchHead(
            url=query.url,
            followed=query.branch,
            branch=branch,
            revision=commit.revision,
            digest=commit.digest,
            trees=unit_trees(commit.discovered),
            broken=broken_units(commit.discovered),
        )
        if before is not None and before.revision != commit.revision and build_pushes:
            self._build_push(commit, before)

    def report_error(self) -> None:
        """Reports the source's error, or its recovery, once."""
        found = self._result.error or self._result.head
        error = found if isinstance(found, CloudBuilderError) else None
        message = error.message if error is not None else ""
        if message == self._stored.error:
            return
        self._error = message
        code, hint = (error.code, error.hint) if error is not None and message else ("", "")
        query = self._result.query
        self._events.append(
            SourceTroubled(source=query.source, url=query.url, code=code, message=message, hint=hint, at=self._now)
        )

    def answer(self, pending: PendingRequest) -> None:
        """Accepts, rejects or postpones a pending request; one that the query did not include stays as it is."""
        resolved = self._result.resolved_for(pending)
        if isinstance(resolved, ResolvedCommit):
            try:
                accepted = pending.accepted or self._accepted_event(pending, resolved)
            except Rejected as error:
                self._reject(pending, error)
                return
            head = self._result.head
            followed = isinstance(head, ResolvedCommit) and head.revision == resolved.revision
            self._announce(resolved, followed=followed)
            self._accept(accepted, pending.request or self._stored.repeated.get(pending.request_id))
        elif isinstance(resolved, Retryable) and may_retry(pending, self._now):
            self._postponed.append(postpone(pending, self._now))
        elif resolved is not None:
            self._reject(pending, resolved)

    def _accepted_event(self, pending: PendingRequest, commit: ResolvedCommit) -> RequestAccepted:
        assert pending.request is not None
        found = self._result.changed.get(pending.comparison)
        changed = found if isinstance(found, tuple) else ()
        branch = self._result.branch
        return accepted_event(
            pending.request,
            pending.request_id,
            commit,
            branch=branch,
            at=self._now,
            changed=changed,
            deleted=self._result.deleted.get(pending.comparison, ()),
        )

    def _build_push(self, commit: ResolvedCommit, before: BranchHead) -> None:
        units = changed_units(before.trees, before.broken, commit.discovered)
        is_compared = before.revision == self._result.query.announced_revision
        deleted = self._result.deleted_by_push if is_compared else ()
        if not units and not deleted:
            self._is_empty_push = True
            return
        assert self._stored.push_id is not None  # the store has seen that the head is another commit
        source, branch = self._result.query.source, self._result.branch
        accepted = push_accepted_event(
            self._stored.push_id, source, branch, commit, units, at=self._now, deleted=deleted
        )
        self._accept(accepted, None)

    def _announce(self, commit: ResolvedCommit, *, followed: bool, has_changes: bool = False) -> None:
        """Announces a commit unless it was announced last. `has_changes`: the result's changes are those of it."""
        branch = self._result.branch
        announced = AnnouncedCommit(branch=branch, revision=commit.revision, digest=commit.digest, followed=followed)
        if self._announced == announced:
            return
        self._announced = announced
        query, changes = self._result.query, self._result.changes if has_changes else None
        self._events += snapshot_events(
            query.source,
            query.url,
            branch,
            commit.revision,
            commit.discovered,
            followed=followed,
            rebuild_suffix=query.rebuild_suffix,
            since=query.announced_revision if changes is not None else None,
            changes=changes or (),
        )

    def _accept(self, accepted: RequestAccepted, request: BuildRequested | None) -> None:
        self._requests[accepted.request_id] = RequestEntry(
            status=RequestStatus.ACCEPTED, at=self._now, request=request, accepted=accepted
        )
        self._events.append(accepted)

    def _reject(self, pending: PendingRequest, error: CloudBuilderError) -> None:
        rejected = rejection(pending, error, self._now)
        self._requests.update(rejected.changes.requests)
        self._events += rejected.events


def _is_followed(head: BranchHead, query: ResolveQuery, branch: str) -> bool:
    """Returns whether a stored head is an earlier one of the followed branch, even if that had another name then.

    The default branch is renamed when its old name is gone and the repository names another one."""
    return head.url == query.url and (head.branch == branch or head.followed == query.branch)
