"""Requests that came before the snapshot they name: they wait for it, for a while.

cb-request announces first; but a broker that has lost its memory may get what was said to the one before first, and the
announcement after it. Nothing is decided about such a request until the snapshot is there, or does not come.
"""

from __future__ import annotations

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import RequestId, Revision, SourceName
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

EARLY = "early"
"""Collection of `request.accepted` events by request; the rank is when they came."""
PATIENCE = 30.0
"""Seconds."""


class DeferredRequests:
    """In memory what the documents say."""

    def __init__(self, state: Documents) -> None:
        self._waiting: dict[RequestId, tuple[float, RequestAccepted]] = {}
        for key, body in state.find(EARLY):
            self._waiting[RequestId(key)] = body["since"], RequestAccepted.model_validate(body["request"])

    def defer(self, work: UnitOfWork, request: RequestAccepted) -> None:
        """Told again it does not wait longer."""
        since, _ = self._waiting.get(request.request_id, (work.now, None))
        self._waiting[request.request_id] = since, request
        body = {"since": since, "request": request.model_dump(mode="json")}
        work.documents.put(EARLY, request.request_id, body, parent=request.source, rank=since)

    def pop_ready(self, work: UnitOfWork, source: SourceName, revision: Revision) -> list[RequestAccepted]:
        """Those that wait for this snapshot, in the order in which they came."""
        due = [one for _, one in self._waiting.values() if (one.source, one.revision) == (source, revision)]
        return [self._forget(work, one.request_id) for one in due]

    def pop_expired(self, work: UnitOfWork, listening_since: float) -> list[RequestAccepted]:
        """Those whose snapshot did not come while we listened. A time in the future was written down while the clock
        was ahead."""
        due = [
            one
            for since, one in self._waiting.values()
            if since > work.now or work.now - max(since, listening_since) >= PATIENCE
        ]
        return [self._forget(work, one.request_id) for one in due]

    def remove(self, work: UnitOfWork, request_id: RequestId) -> None:
        """It was ended."""
        if request_id in self._waiting:
            self._forget(work, request_id)

    def _forget(self, work: UnitOfWork, request_id: RequestId) -> RequestAccepted:
        work.documents.delete(EARLY, request_id)
        return self._waiting.pop(request_id)[1]
