"""The two ways in which jobs are given to runners."""

from __future__ import annotations

from enum import StrEnum


class Dispatch(StrEnum):
    """The ways of dispatch. A job that not every runner of a pool may have is always directed."""

    DIRECTED = "directed"
    """The scheduler chooses the runner."""
    SHARED_QUEUE = "shared-queue"
    """The scheduler offers as many jobs as there are free slots. The runners of a pool take the offers through a share
    group of Kafka (4.2 or newer)."""
