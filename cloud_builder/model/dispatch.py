"""How jobs come to runners."""

from __future__ import annotations

from enum import StrEnum


class Dispatch(StrEnum):
    """Which way jobs are handed out. What needs a place of its own is always directed."""

    DIRECTED = "directed"
    """The scheduler chooses the runner."""
    SHARED_QUEUE = "shared-queue"
    """The scheduler offers as many jobs as there are free slots, and the runners of a pool share them out by a share
    group of Kafka (4.2 or newer)."""
