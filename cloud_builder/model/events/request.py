"""Requests of people and CI jobs (cb.request)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from cloud_builder.model.build_profiles import OPTION, PROFILE
from cloud_builder.model.ids import (
    SOURCE_NAME,
    RequestId,
    SourceName,
)
from cloud_builder.model.priority import Priority
from cloud_builder.model.rebuild import DEFAULT_SUFFIX, valid_suffix

from .payload import REQUEST_ID, Payload

MAX_UNITS = 20_000
"""The most units in one request; a larger request uses `all`."""

Word = Annotated[str, Field(max_length=1000)]
"""A name, a path, a URL or a person. A longer text is a mistake or an attack."""


class BuildRequested(Payload):
    """Asks to build units of a source. Needed are `source` and one of `units`, `all` and `since`."""

    type: ClassVar[str] = "build.requested"

    source: SourceName = Field(max_length=1000)
    units: tuple[Word, ...] = Field(default=(), max_length=MAX_UNITS)
    """Paths (`packages/hello`)."""
    all: bool = False
    """Every unit."""
    since: Word = ""
    """A branch, tag or commit: the units that changed after it."""
    dependants: bool = False
    """Also everything that build-depends on these units, directly or indirectly. A job whose inputs did not change is
    not built."""
    ref: Word = ""
    """The branch, tag or commit to build; empty: the head of the followed branch."""
    targets: tuple[Word, ...] = Field(default=(), max_length=1000)
    """Only these targets (`bookworm.x86_64`); empty: every target of each unit."""
    profiles: tuple[Annotated[str, Field(pattern=PROFILE)], ...] = Field(default=(), max_length=100)
    """Build profiles of the named units, besides those of their manifests. `nocheck` and `nodoc` are build options,
    too."""
    build_options: tuple[Annotated[str, Field(pattern=OPTION)], ...] = Field(default=(), max_length=100)
    """Build options of the named units (deb: DEB_BUILD_OPTIONS), besides those of their manifests."""
    request_id: RequestId | None = Field(default=None, pattern=REQUEST_ID)
    """An id that the sender chooses, by which it finds the result; a request with a known id is handled once."""
    requester: Word = ""
    """Whom the request is counted for, with fair shares and quotas."""
    priority: Priority | None = None
    """None: `bulk` when all units are asked for, else `normal`."""
    deadline: float | None = Field(default=None, gt=0, le=30 * 86400)
    """Seconds from acceptance; jobs that have not ended by then are canceled."""
    force: bool = False
    """Build the named units although results of the same inputs exist."""
    publish_older: bool = False
    """Also publish the packages of units of which packages of a newer commit are published: go back on purpose."""
    plan: bool = False
    """Build nothing: only answer what would be built, and why (`plan.drawn`)."""

    @model_validator(mode="after")
    def _names_something(self) -> BuildRequested:
        if bool(self.units) + self.all + bool(self.since) != 1:
            raise ValueError(
                'name the units to build in "units", or say "all": true, or "since": a commit (one of them)'
            )
        return self


class BuildCancelRequested(Payload):
    """Cancels a request: its running jobs are stopped, and no more are started."""

    type: ClassVar[str] = "build.cancel-requested"

    request_id: RequestId = Field(max_length=1000)
    requester: Word = ""


class SourceAddRequested(Payload):
    """Follows a git repository under a name. For a name that is followed already, it changes URL and branch."""

    type: ClassVar[str] = "source.add-requested"

    source: SourceName = Field(pattern=SOURCE_NAME)
    url: Word
    branch: Word = ""
    """Empty: the default branch of the repository."""
    rebuild_suffix: Annotated[Word, AfterValidator(valid_suffix)] = DEFAULT_SUFFIX
    """What is added to the version of a package that is built again with other contents; `{n}` counts from 1."""


class SourceRemoveRequested(Payload):
    """Stops following a source. Its packages stay published."""

    type: ClassVar[str] = "source.remove-requested"

    source: SourceName = Field(max_length=1000)
