"""How things end, and the closed sets around it."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a job ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    REUSED = "reused"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"

    @property
    def is_good(self) -> bool:
        """True when the job's artifacts exist and may be used by its dependants. See also `is_good`."""
        return self in (Outcome.SUCCESS, Outcome.REUSED)


UNCHANGED = "unchanged"
"""Code of a job that ended as `skipped` because it would make what it made before."""


def is_good(outcome: str, code: str) -> bool:
    """True when what the job makes exists and may be used: built, reused, or not touched as nothing had changed."""
    return outcome in (Outcome.SUCCESS, Outcome.REUSED) or (outcome == Outcome.SKIPPED and code == UNCHANGED)


class RequestOutcome(StrEnum):
    """How a request ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"


class JobState(StrEnum):
    """Where a job stands before it has an outcome."""

    BLOCKED = "blocked"
    QUEUED = "queued"
    OFFERED = "offered"
    """Queued, and on a shared queue: whoever claims it first gets it. Told to the others as queued."""
    ASSIGNED = "assigned"
    RUNNING = "running"
    FINISHED = "finished"


class Kind(StrEnum):
    """What a unit builds."""

    PACKAGE = "package"
    IMAGE = "image"
    LAB = "lab"
