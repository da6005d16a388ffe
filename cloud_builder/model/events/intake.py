"""What cb-request made of wishes and of git (cb.intake)."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.ids import (
    RequestId,
    Revision,
    SourceName,
    UnitPath,
)
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import Problem, Unit, UnitChange

from .payload import Payload


class SourceRevised(Payload):
    """The units of a source at one commit. Large sources come in several parts, in order, on one partition.

    `followed` says that the commit is the tip of the branch the source follows, and not one that a request named."""

    type: ClassVar[str] = "source.revised"

    source: SourceName
    url: str
    branch: str
    revision: Revision
    followed: bool
    units: tuple[Unit, ...] = ()
    problems: tuple[Problem, ...] = ()
    since: Revision | None = None
    """The followed commit before this one, which `changes` are told against."""
    changes: tuple[UnitChange, ...] = ()
    part: int = 0
    parts: int = 1


class SourceTroubled(Payload):
    """A source cannot be read, and why; with an empty `message` it can be read again. Told at each change."""

    type: ClassVar[str] = "source.troubled"

    source: SourceName
    url: str
    code: str = ""
    message: str = ""
    hint: str = ""
    at: float


class SourceRemoved(Payload):
    """A source is no longer followed."""

    type: ClassVar[str] = "source.removed"

    source: SourceName


class RequestAccepted(Payload):
    """A wish, pinned to a commit whose `source.revised` went before it on the same partition.

    `publish`: the commit belongs to the branch that the source follows, so its packages go to the repositories.
    `dependants`: build what build-depends on these units, too (a push)."""

    type: ClassVar[str] = "request.accepted"

    request_id: RequestId
    source: SourceName
    ref: str
    revision: Revision
    units: tuple[UnitPath, ...]
    targets: tuple[str, ...] = ()
    requester: str = ""
    origin: str = "client"
    """client | push"""
    dependants: bool = False
    publish: bool = True
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    """Seconds from `accepted_at`."""
    plan: bool = False
    """Build nothing; say what would be built."""
    accepted_at: float


class RequestRejected(Payload):
    """A wish that cannot be fulfilled, with the cause and the nearest valid name."""

    type: ClassVar[str] = "request.rejected"

    request_id: RequestId
    source: SourceName = SourceName("")
    ref: str = ""
    code: str
    message: str
    hint: str = ""
    requester: str = ""
    rejected_at: float
