"""What was used lately is written down: one document, every few seconds when it has changed, and at the end.

So whose turn it is stays so over a restart and for a standby, at no cost a job. What was used in the last seconds
before a crash is forgotten.
"""

from __future__ import annotations

from cloud_builder.model.frozen import Dumped
from cloud_builder.planning.schedule.queue import Order
from cloud_builder.planning.schedule.usage import Usage
from cloud_builder.ports.mesh import Work
from cloud_builder.ports.state import Documents

EVERY = 10.0
"""Seconds between two writes."""
PLACE = ("usage", "shares")
"""Collection and key."""


def recall(state: Documents, order: Order) -> None:
    body = state.get(*PLACE)
    if body is not None:
        order.recall(Usage.model_validate(body))


class UsageDocument:
    """When it was written last."""

    def __init__(self) -> None:
        self._written: tuple[Order, int] | None = None
        self._at = 0.0

    def keep(self, order: Order, work: Work, *, now: bool = False) -> None:
        """`now`: however short the last time is ago."""
        version = order.usage_version
        if not version or self._written == (order, version):
            return
        if now or not 0 <= work.now - self._at < EVERY:
            work.state.put(*PLACE, Dumped(order.usage()))
            self._written, self._at = (order, version), work.now
