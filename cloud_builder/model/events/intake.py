"""Sources as cb-request has read them, and its answers to requests (cb.intake)."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.ids import (
    RequestId,
    Revision,
    SourceName,
    UnitPath,
)
from cloud_builder.model.priority import Priority
from cloud_builder.model.rebuild import DEFAULT_SUFFIX
from cloud_builder.model.unit import DeletedUnit, Problem, Unit, UnitChange

from .payload import Payload


class SourceRevised(Payload):
    """The units of a source at one commit (a source snapshot).

    A large snapshot comes in several parts, in order, on one partition."""

    type: ClassVar[str] = "source.revised"

    source: SourceName
    url: str
    branch: str
    revision: Revision
    followed: bool
    """The commit is the head of the followed branch; false: a request named it."""
    rebuild_suffix: str = DEFAULT_SUFFIX
    """What is added to the version of a package that is built again with other contents; `{n}` counts from 1."""
    units: tuple[Unit, ...] = ()
    """The broken ones, too (`Unit.problems`)."""
    problems: tuple[Problem, ...] = ()
    """Of directories that are no unit, e.g. because another one has the same path."""
    since: Revision | None = None
    """The head before this one, with which `changes` were found."""
    changes: tuple[UnitChange, ...] = ()
    part: int = 0
    """From 0."""
    parts: int = 1


class SourceTroubled(Payload):
    """A source cannot be read, and why; with an empty `message` it can be read again.

    It is sent when the error changes, not at each try."""

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


NEWER_DIGITS = 12
"""Hex digits of a commit in `request.accepted`."""


class RequestAccepted(Payload):
    """A request was accepted, for one commit of its source.

    The `source.revised` of the commit is before this event on the same partition."""

    type: ClassVar[str] = "request.accepted"

    request_id: RequestId
    source: SourceName
    ref: str
    revision: Revision
    units: tuple[UnitPath, ...]
    targets: tuple[str, ...] = ()
    """Only these targets; empty: every target of each unit."""
    deleted: tuple[DeletedUnit, ...] = ()
    """Units that the commit no longer has: what was built with their packages is built, too."""
    profiles: tuple[str, ...] = ()
    """Build profiles of `units`, besides those of their manifests."""
    build_options: tuple[str, ...] = ()
    """Build options of `units`, besides those of their manifests."""
    requester: str = ""
    origin: str = "client"
    """`client` or `push`."""
    dependants: bool = False
    """Also build everything that build-depends on these units, directly or indirectly."""
    publish: bool = True
    """The commit belongs to the followed branch, so its packages are published."""
    newer_commits: tuple[str, ...] = ()
    """The commits of the followed branch that are newer than this one, each shortened to NEWER_DIGITS. A unit of which
    such a commit is published, or is being built, is built but not published. Empty: publish every unit."""
    more_newer: bool = False
    """There are more newer commits than listed; any other commit of which a unit is published counts as newer."""
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    """Seconds from `accepted_at`."""
    force: bool = False
    """Build `units` although results of the same inputs exist."""
    plan: bool = False
    """Build nothing: only answer what would be built (`plan.drawn`)."""
    problems: tuple[Problem, ...] = ()
    """Of the broken units among `units`, the first ones. The jobs of these units fail."""
    accepted_at: float


class RequestRejected(Payload):
    """A request was rejected: the cause, and the nearest valid name."""

    type: ClassVar[str] = "request.rejected"

    request_id: RequestId
    source: SourceName = SourceName("")
    ref: str = ""
    code: str
    message: str
    hint: str = ""
    requester: str = ""
    rejected_at: float
