"""Requests that wait for the source snapshot that they name.

cb-request announces a snapshot before it accepts a request; but a broker that has lost its data may receive the
repeated messages in another order. Such a request is admitted when its snapshot arrives, or after SNAPSHOT_TIMEOUT.
"""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import RequestId, Revision, SourceName
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

DEFERRED = "deferred-requests"
"""Collection of `request.accepted` events by request; the rank is the time of their arrival."""
SNAPSHOT_TIMEOUT = 30.0
"""Seconds that a request waits; then it is admitted without its snapshot, and so rejected."""


class DeferredRequests:
    """A cache of the collection."""

    def __init__(self, documents: Documents) -> None:
        self._waiting: dict[RequestId, tuple[float, RequestAccepted]] = {}
        for key, body in documents.find(DEFERRED):
            self._waiting[RequestId(key)] = body["since"], RequestAccepted.model_validate(body["request"])

    def defer(self, work: UnitOfWork, request: RequestAccepted) -> None:
        """Stores a request. A repeated `request.accepted` keeps its first arrival time."""
        since, _ = self._waiting.get(request.request_id, (work.now, None))
        self._waiting[request.request_id] = since, request
        body = {"since": since, "request": request.model_dump(mode="json")}
        work.documents.put(DEFERRED, request.request_id, body, parent=request.source, rank=since)

    def pop_ready(self, work: UnitOfWork, source: SourceName, revision: Revision) -> list[RequestAccepted]:
        """Removes and returns the requests that wait for this snapshot, in the order of their arrival."""
        waiting = [request for _, request in self._waiting.values()]
        return self._pop(
            work, [request for request in waiting if (request.source, request.revision) == (source, revision)]
        )

    def pop_expired(self, work: UnitOfWork, listening_since: float) -> list[RequestAccepted]:
        """Removes and returns the requests whose snapshot did not arrive in time. Counts only time in which the
        scheduler received messages. An arrival in the future was stored while the clock was ahead."""
        expired = [
            request
            for since, request in self._waiting.values()
            if since > work.now or work.now - max(since, listening_since) >= SNAPSHOT_TIMEOUT
        ]
        return self._pop(work, expired)

    def remove(self, work: UnitOfWork, request_id: RequestId) -> None:
        """Removes a request that was canceled or rejected."""
        if request_id in self._waiting:
            self._pop(work, [self._waiting[request_id][1]])

    def _pop(self, work: UnitOfWork, requests: Iterable[RequestAccepted]) -> list[RequestAccepted]:
        found = list(requests)
        for request in found:
            del self._waiting[request.request_id]
            work.documents.delete(DEFERRED, request.request_id)
        return found
