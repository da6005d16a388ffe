"""The flow of cb-info: folds what it reads, answers what it is asked."""

from __future__ import annotations

from cloud_builder.model.events import InfoAsked
from cloud_builder.model.outcome import Role
from cloud_builder.model.settings import InfoSettings
from cloud_builder.planning.schedule.queue import Rules
from cloud_builder.ports.mesh import Received, Work
from cloud_builder.ports.state import Documents

from .graph import Atlas
from .projection import fold, forget_silent_runners
from .queries import Desk, answer
from .retention import Retention

NO_RULES = Rules()
STALE_QUESTION = 300.0
"""Nobody waits any more for the answer to an older question: reading the topics again answers nothing."""


class InfoFlow:
    """`objects_url`: where a file of sha256 D is found, as `<objects_url>/D`. `rules`: by which the scheduler orders
    what waits, so that `why` tells who goes first."""

    role = Role.INFO
    instance = ""

    def __init__(self, objects_url: str = "", rules: Rules = NO_RULES, keep: float = InfoSettings().keep) -> None:
        self._retention = Retention(keep)
        self._rules = rules
        self._atlas = Atlas()
        self._objects_url = objects_url.rstrip("/")

    def restore(self, state: Documents) -> None:
        """Nothing that matters is kept in memory."""

    def resume(self, work: Work) -> None:
        """Nobody depends on what cb-info says."""

    def handle(self, event: Received, work: Work) -> None:
        payload = event.payload
        if not isinstance(payload, InfoAsked):
            fold(payload, work.state)
        elif work.now - event.time < STALE_QUESTION:
            work.emit(answer(payload, Desk(work.state, work.now, self._objects_url, self._rules, self._atlas)))

    def tick(self, work: Work) -> None:
        if work.caught_up:
            forget_silent_runners(work.state, work.now)
            self._retention.forget(work)

    def patience(self) -> float:
        return 60.0

    def stop(self, work: Work) -> None:
        """Nothing to hand over."""
