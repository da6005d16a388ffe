"""Closed sets: outcomes of jobs and requests, states of jobs, kinds of units."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The outcomes of a job (doc/concept/glossary.md)."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    REUSED = "reused"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"

    @property
    def is_good(self) -> bool:
        """True if the job's artifacts exist and its dependants may use them. See also the function `is_good`."""
        return self in (Outcome.SUCCESS, Outcome.REUSED)


UNCHANGED = "unchanged"
"""The code of a drawn-in job that was skipped because its inputs did not change."""


def is_good(outcome: str, code: str) -> bool:
    """Returns True if the output of the job exists and may be used: it was built, reused, or is unchanged."""
    return outcome in (Outcome.SUCCESS, Outcome.REUSED) or (outcome == Outcome.SKIPPED and code == UNCHANGED)


BUILD_DEPENDENCY = "build-dependency"
"""Code of a failure: the build dependencies cannot be installed."""
DEPENDENCY_CYCLE = "dependency-cycle"
"""Code of a failure: the units of a cycle need each other, and there are no packages to begin with."""


class RequestOutcome(StrEnum):
    """The outcomes of a request."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"


class JobState(StrEnum):
    """The states of a job before it has an outcome."""

    BLOCKED = "blocked"
    QUEUED = "queued"
    OFFERED = "offered"
    """Offered on a shared queue; the first valid claim gets it. Events show it as queued, with a hold."""
    ASSIGNED = "assigned"
    RUNNING = "running"
    FINISHED = "finished"


class Kind(StrEnum):
    """The kinds of units."""

    PACKAGE = "package"
    IMAGE = "image"
    LAB = "lab"
