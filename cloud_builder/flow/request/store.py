"""Reads and writes cb-request's entries in the daemon's documents.

collection        entry                                    key
source            FollowedSource                           source name
source-error      the source's last error, as reported     source name
branch-head       BranchHead                               source name
announced-commit  AnnouncedCommit                          source name
pending-request   PendingRequest                           request id
request           RequestEntry                             request id
"""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.events import BuildRequested, RequestAccepted
from cloud_builder.model.ids import RequestId, Revision, SourceName
from cloud_builder.ports.state import Documents

from .entries import (
    AnnouncedCommit,
    BranchHead,
    FollowedSource,
    PendingRequest,
    RequestEntry,
    RequestStatus,
    SourceEntries,
    StoreChanges,
    push_request_id,
)

SOURCE, SOURCE_ERROR = "source", "source-error"
BRANCH_HEAD, ANNOUNCED_COMMIT = "branch-head", "announced-commit"
REQUEST, PENDING_REQUEST = "request", "pending-request"

REQUEST_ID_RETENTION = 30 * 86400.0
"""Seconds that a request id is kept, so that a request sent twice is recognized."""
_PRUNE_BATCH = 1000
_RECHECK = "?"
"""Stored in place of a source's error: differs from every error, so that the next one is reported."""


class RequestStore:
    """A typed view of the documents, within one transaction."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    # --- of one source, for a decision

    def source_entries(self, name: SourceName, head_revision: Revision | None) -> SourceEntries:
        """Returns what a resolve result of the source concerns. `head_revision`: the head in that result."""
        pending = tuple(self.pending_requests(name))
        head, push_id = self.head(name), None
        if head_revision is not None and head is not None and head.revision != head_revision:
            push_id = self._unused_push_id(name, head_revision)
        return SourceEntries(
            head=head,
            announced=self.announced(name),
            error=self.source_error(name),
            pending=pending,
            repeated=dict(self._requests_of(pending)),
            push_id=push_id,
        )

    def apply(self, changes: StoreChanges) -> None:
        if changes.announced is not None:
            self._documents.put(ANNOUNCED_COMMIT, changes.source, changes.announced.model_dump(mode="json"))
        if changes.head is not None:
            self._put_head(changes.source, changes.head)
        if changes.error is not None:
            self._put_source_error(changes.source, changes.error)
        for request_id, entry in changes.requests.items():
            self.put_request(request_id, entry)
            self.drop_pending(request_id)
        for pending in changes.postponed:
            self.put_pending(pending)

    def _requests_of(self, pending: tuple[PendingRequest, ...]) -> Iterator[tuple[RequestId, BuildRequested]]:
        for one in pending:
            if one.request is None:
                entry = self.request(one.request_id)
                if entry is not None and entry.request is not None:
                    yield one.request_id, entry.request

    def _unused_push_id(self, name: SourceName, revision: Revision) -> RequestId:
        number = 0
        while self.request(request_id := push_request_id(name, revision, number)) is not None:
            number += 1
        return request_id

    # --- sources

    def sources(self) -> dict[SourceName, FollowedSource]:
        return {SourceName(name): FollowedSource.model_validate(body) for name, body in self._documents.find(SOURCE)}

    def put_source(self, name: SourceName, source: FollowedSource) -> None:
        self._documents.put(SOURCE, name, source.model_dump(mode="json"))

    def remove_source(self, name: SourceName) -> None:
        """Removes all entries of a source but its requests."""
        for collection in (SOURCE, BRANCH_HEAD, ANNOUNCED_COMMIT, SOURCE_ERROR):
            self._documents.delete(collection, name)

    def source_error(self, name: SourceName) -> str:
        """Returns the error of the source that was reported last; empty: the source could be read."""
        return str((self._documents.get(SOURCE_ERROR, name) or {"message": ""})["message"])

    def recheck_source_error(self, name: SourceName) -> None:
        """Lets the next result of a source in error be reported, even if it is the same error."""
        if self.source_error(name):
            self._put_source_error(name, _RECHECK)

    def _put_source_error(self, name: SourceName, message: str) -> None:
        self._documents.put(SOURCE_ERROR, name, {"message": message})

    def head(self, name: SourceName) -> BranchHead | None:
        body = self._documents.get(BRANCH_HEAD, name)
        return None if body is None else BranchHead.model_validate(body)

    def _put_head(self, name: SourceName, head: BranchHead) -> None:
        self._documents.put(BRANCH_HEAD, name, head.model_dump(mode="json"))

    def announced(self, name: SourceName) -> AnnouncedCommit | None:
        body = self._documents.get(ANNOUNCED_COMMIT, name)
        return None if body is None else AnnouncedCommit.model_validate(body)

    def reset_announcements(self) -> None:
        """Marks all commits as not announced: the broker has lost the announcements."""
        for name, _ in list(self._documents.find(ANNOUNCED_COMMIT)):
            self._documents.delete(ANNOUNCED_COMMIT, name)
        for name, body in list(self._documents.find(BRANCH_HEAD)):
            head = BranchHead.model_validate(body).model_copy(update={"is_announced": False})
            self._put_head(SourceName(name), head)

    # --- requests

    def pending_requests(self, source: SourceName | None = None) -> Iterator[PendingRequest]:
        """Returns the pending requests in the order in which they were received."""
        for _, body in list(self._documents.find(PENDING_REQUEST, parent=source)):
            yield PendingRequest.model_validate(body)

    def put_pending(self, pending: PendingRequest) -> None:
        body = pending.model_dump(mode="json")
        self._documents.put(PENDING_REQUEST, pending.request_id, body, parent=pending.source, rank=pending.received_at)

    def drop_pending(self, request_id: RequestId) -> None:
        self._documents.delete(PENDING_REQUEST, request_id)

    def request(self, request_id: RequestId) -> RequestEntry | None:
        body = self._documents.get(REQUEST, request_id)
        return None if body is None else RequestEntry.model_validate(body)

    def put_request(self, request_id: RequestId, entry: RequestEntry) -> None:
        self._documents.put(REQUEST, request_id, entry.model_dump(mode="json"), rank=entry.at)

    def open_requests(self) -> list[RequestAccepted]:
        """Returns the accepted requests that are not finished, in the order in which they were accepted."""
        entries = (RequestEntry.model_validate(body) for _, body in self._documents.find(REQUEST))
        return [
            entry.accepted for entry in entries if entry.status is RequestStatus.ACCEPTED and entry.accepted is not None
        ]

    def prune_requests(self, before: float) -> None:
        """Deletes the entries that were last written before that time, at most `_PRUNE_BATCH` a call."""
        for request_id, body in list(self._documents.find(REQUEST, most=_PRUNE_BATCH)):
            if RequestEntry.model_validate(body).at >= before:
                return
            self._documents.delete(REQUEST, request_id)
