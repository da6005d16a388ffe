"""Identifiers, each with a type of its own; how job ids are made and read."""

from __future__ import annotations

from typing import NewType

RequestId = NewType("RequestId", str)
"""Chosen by the client (`[A-Za-z0-9._-]`, at most 100 characters) or made by cb-ctl, e.g. `r-3fk2p9`."""

JobId = NewType("JobId", str)
"""`<request id>.<number>`: readable, and unique because request ids are."""

RunnerId = NewType("RunnerId", str)
EventId = NewType("EventId", str)
QueryId = NewType("QueryId", str)

SourceName = NewType("SourceName", str)
"""The short name of a followed git repository."""
SOURCE_NAME = r"^[a-z0-9][a-z0-9.+-]{0,62}$"
"""The pattern of a SourceName."""

Revision = NewType("Revision", str)
"""A git commit, 40 hex digits; 64 in a repository of the object format sha256."""

TreeId = NewType("TreeId", str)
"""The content of a unit's directory: git's id of the tree (40 hex digits, 64 with the object format sha256), or a
sha256 when links of the directory lead to files outside of it."""

UnitPath = NewType("UnitPath", str)
"""A unit's directory inside its source, below `projects/` when there is one: `packages/hello`."""

Digest = NewType("Digest", str)
"""A sha256, 64 lower-case hex digits."""

InputKey = NewType("InputKey", str)
"""The digest of everything that goes into a job (doc/concept/input-keys.md)."""

RepositoryName = NewType("RepositoryName", str)
"""`<source>-<dist>`: one signed package repository."""


def new_job_id(request: RequestId, number: int) -> JobId:
    """Returns the id of the request's job with this number, from 1."""
    return JobId(f"{request}.{number}")


def job_number(job: str) -> int:
    """Returns the number of a job in its request; 0 for text that is no job id."""
    last = job.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def request_of(job: str) -> RequestId:
    """Returns the request that a job belongs to."""
    return RequestId(job.rpartition(".")[0])
