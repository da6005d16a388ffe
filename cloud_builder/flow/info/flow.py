"""The flow of cb-info: folds what it reads, answers what it is asked."""

from __future__ import annotations

from cloud_builder.model.events import InfoAsked
from cloud_builder.model.outcome import Role
from cloud_builder.model.settings import InfoSettings
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.state import Documents

from .graph import GraphCache
from .projection import apply_event, forget_silent_runners
from .queries import QueryContext, answer
from .retention import Retention

NO_RULES = QueuePolicy()
QUERY_MAX_AGE = 300.0
"""Nobody waits any more for the answer to an older question: reading the topics again answers nothing."""


class InfoFlow:
    """`objects_url`: where a file of sha256 D is found, as `<objects_url>/D`. `rules`: by which the scheduler orders
    what waits, so that `why` tells who goes first."""

    role = Role.INFO
    instance = ""

    def __init__(
        self, objects_url: str = "", rules: QueuePolicy = NO_RULES, keep: float = InfoSettings().request_retention
    ) -> None:
        self._retention = Retention(keep)
        self._rules = rules
        self._atlas = GraphCache()
        self._objects_url = objects_url.rstrip("/")

    def restore(self, state: Documents) -> None:
        """Nothing that matters is kept in memory."""

    def republish(self, work: UnitOfWork) -> None:
        """Nobody depends on what cb-info says."""

    def handle(self, event: Received, work: UnitOfWork) -> None:
        payload = event.payload
        if not isinstance(payload, InfoAsked):
            apply_event(payload, work.documents)
        elif work.now - event.time < QUERY_MAX_AGE:
            work.emit(
                answer(payload, QueryContext(work.documents, work.now, self._objects_url, self._rules, self._atlas))
            )

    def tick(self, work: UnitOfWork) -> None:
        if work.caught_up:
            forget_silent_runners(work.documents, work.now)
            self._retention.forget(work)

    def max_wait(self) -> float:
        return 60.0

    def stop(self, work: UnitOfWork) -> None:
        """Nothing to hand over."""
