"""The Flow of cb-info: applies events to the read model, and answers queries."""

from __future__ import annotations

from cloud_builder.model.events import InfoAsked
from cloud_builder.model.role import Role
from cloud_builder.model.settings import InfoSettings
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.state import Documents

from .graph import GraphCache
from .projection import apply_event, remove_silent_runners
from .queries import QueryContext, answer
from .retention import Retention

DEFAULT_POLICY = QueuePolicy()
QUERY_MAX_AGE = 300.0
"""Seconds. An older query is not answered: its client has given up. It is met when topics are read again."""


class InfoFlow:
    """ports.mesh.Flow.

    objects_url    a file with the sha256 D is at `<objects_url>/D`
    queue_policy   by which the scheduler orders queued jobs; `why` explains their order with it
    days           how long finished requests are kept
    """

    role = Role.INFO
    instance = ""

    def __init__(
        self,
        objects_url: str = "",
        queue_policy: QueuePolicy = DEFAULT_POLICY,
        days: float = InfoSettings().request_retention,
    ) -> None:
        self._retention = Retention(days)
        self._queue_policy = queue_policy
        self._graph_cache = GraphCache()
        self._objects_url = objects_url.rstrip("/")

    def restore(self, state: Documents) -> None:
        """Reads nothing: only caches are in memory."""

    def republish(self, work: UnitOfWork) -> None:
        """Emits nothing: no daemon depends on cb-info."""

    def handle(self, event: Received, work: UnitOfWork) -> None:
        payload = event.payload
        if not isinstance(payload, InfoAsked):
            apply_event(payload, work.documents)
        elif work.now - event.time < QUERY_MAX_AGE:
            work.emit(answer(payload, self._context(work)))

    def tick(self, work: UnitOfWork) -> None:
        if work.caught_up:
            remove_silent_runners(work.documents, work.now)
            self._retention.prune(work)

    def max_wait(self) -> float:
        return 60.0

    def stop(self, work: UnitOfWork) -> None:
        """Hands nothing over."""

    def _context(self, work: UnitOfWork) -> QueryContext:
        return QueryContext(work.documents, work.now, self._objects_url, self._queue_policy, self._graph_cache)
