"""The roles that daemons and clients have on the broker."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The writers and readers of topics: the five daemons, and everybody else (`client`)."""

    CLIENT = "client"
    REQUEST = "cb-request"
    SCHEDULER = "cb-scheduler"
    RUNNER = "cb-runner"
    COLLECTOR = "cb-collector"
    INFO = "cb-info"
