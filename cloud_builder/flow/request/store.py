"""What cb-request remembers, in the daemon's own state: each collection as a typed value.

source     what is followed, by name                        tip   what was announced as its branch's tip
wish       wishes that wait for git's answer                announced   the last commit announced, by source
complaint  why a source cannot be read, as it was told last
request    every request by id: how it was answered, and whether it is still open
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from cloud_builder.model.events import BuildRequested, RequestAccepted
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import Digest, RequestId, Revision, SourceName, TreeId, UnitPath
from cloud_builder.ports.state import Documents

REQUEST_ID_RETENTION = 30 * 86400.0
"""Seconds that a request id is remembered."""


class FollowedSource(LenientModel):
    """A source. `branch` empty: its default branch."""

    url: str
    branch: str = ""


class BranchHead(LenientModel):
    """The tip of the followed branch as it was announced. `is_announced` False: the broker has forgotten it."""

    url: str
    branch: str
    revision: Revision
    digest: Digest
    trees: dict[UnitPath, TreeId]
    is_announced: bool = True


class AnnouncedCommit(LenientModel):
    """The commit of a source that its readers know last."""

    revision: Revision
    digest: Digest
    followed: bool


class PendingRequest(LenientModel):
    """A wish that waits. `accepted`: it was answered in an earlier life of the broker, and is told again as it was."""

    request_id: RequestId
    source: SourceName
    ref: str
    received_at: float
    retry_at: float
    tries: int = 0
    request: BuildRequested | None = None
    accepted: RequestAccepted | None = None

    @property
    def span(self) -> tuple[str, str]:
        """What git is asked: the ref, and the commit that its units are compared with, if there is one."""
        return self.ref, self.request.since if self.request is not None else ""


class RequestStatus(StrEnum):
    """What became of a request."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FINISHED = "finished"


class RequestEntry(LenientModel):
    """A request by its id. `wanted` is None for a push; `at`: when it was last touched."""

    standing: RequestStatus
    at: float
    request: BuildRequested | None = None
    accepted: RequestAccepted | None = None


class RequestStore:
    """Reads and writes in one transaction's documents."""

    def __init__(self, state: Documents) -> None:
        self._state = state

    def sources(self) -> dict[SourceName, FollowedSource]:
        return {SourceName(name): FollowedSource.model_validate(body) for name, body in self._state.find("source")}

    def put_source(self, name: SourceName, source: FollowedSource) -> None:
        self._state.put("source", name, source.model_dump(mode="json"))

    def forget_source(self, name: SourceName) -> None:
        for collection in ("source", "tip", "announced", "complaint"):
            self._state.delete(collection, name)

    def source_error(self, name: SourceName) -> str:
        """What kept the source from being read when it was looked at last; empty when nothing did."""
        return str((self._state.get("complaint", name) or {"message": ""})["message"])

    def put_source_error(self, name: SourceName, message: str) -> None:
        self._state.put("complaint", name, {"message": message})

    def recheck_source_error(self, name: SourceName) -> None:
        """Someone asks anew about a source that could not be read: whatever is found is told again."""
        if self.source_error(name):
            self.put_source_error(name, "?")

    def tip(self, name: SourceName) -> BranchHead | None:
        body = self._state.get("tip", name)
        return None if body is None else BranchHead.model_validate(body)

    def put_tip(self, name: SourceName, tip: BranchHead) -> None:
        self._state.put("tip", name, tip.model_dump(mode="json"))

    def announced(self, name: SourceName) -> AnnouncedCommit | None:
        body = self._state.get("announced", name)
        return None if body is None else AnnouncedCommit.model_validate(body)

    def put_announced(self, name: SourceName, announced: AnnouncedCommit) -> None:
        self._state.put("announced", name, announced.model_dump(mode="json"))

    def pending_requests(self, source: SourceName | None = None) -> Iterator[PendingRequest]:
        """In the order they came."""
        for _, body in list(self._state.find("wish", parent=source)):
            yield PendingRequest.model_validate(body)

    def put_pending(self, wish: PendingRequest) -> None:
        body = wish.model_dump(mode="json")
        self._state.put("wish", wish.request_id, body, parent=wish.source, rank=wish.received_at)

    def drop_pending(self, request_id: RequestId) -> None:
        self._state.delete("wish", request_id)

    def request(self, request_id: RequestId) -> RequestEntry | None:
        body = self._state.get("request", request_id)
        return None if body is None else RequestEntry.model_validate(body)

    def put_request(self, request_id: RequestId, request: RequestEntry) -> None:
        self._state.put("request", request_id, request.model_dump(mode="json"), rank=request.at)

    def open_requests(self) -> list[RequestAccepted]:
        """Accepted and not finished, in the order they were accepted."""
        requests = (RequestEntry.model_validate(body) for _, body in self._state.find("request"))
        return [one.accepted for one in requests if one.standing is RequestStatus.ACCEPTED and one.accepted is not None]

    def forget_requests(self, before: float) -> None:
        """Forgets at most a thousand requests that were last touched before that time."""
        for request_id, body in list(self._state.find("request", most=1000)):
            if RequestEntry.model_validate(body).at >= before:
                return
            self._state.delete("request", request_id)

    def forget_announcements(self) -> None:
        """The broker has lost its memory: nothing counts as announced."""
        for name, _ in list(self._state.find("announced")):
            self._state.delete("announced", name)
        for name, body in list(self._state.find("tip")):
            self.put_tip(SourceName(name), BranchHead.model_validate(body).model_copy(update={"is_announced": False}))
