"""What people and CI jobs wish (cb.request)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from cloud_builder.model.ids import (
    SOURCE_NAME,
    RequestId,
    SourceName,
)
from cloud_builder.model.priority import Priority

from .payload import REQUEST_ID, Payload

MOST_UNITS = 20_000
"""Names in one request; whoever wants more says `all`."""

Word = Annotated[str, Field(max_length=1000)]
"""A name, a path, a URL or a person: longer is a mistake or an attack."""


class BuildRequested(Payload):
    """Build these units. The only field a CI job must send is `source`, and one of `units`, `all` and `since`."""

    type: ClassVar[str] = "build.requested"

    source: SourceName = Field(max_length=1000)
    units: tuple[Word, ...] = Field(default=(), max_length=MOST_UNITS)
    all: bool = False
    since: Word = ""
    """A branch, tag or commit: the units that changed after it."""
    dependants: bool = False
    """Also what build-depends on these units, and so on; where the inputs are what they were nothing is built."""
    ref: Word = ""
    """Branch, tag or commit; empty: the branch that the source follows."""
    targets: tuple[Word, ...] = Field(default=(), max_length=1000)
    """Only these targets (`bookworm.x86_64`); empty: every target of each unit."""
    request_id: RequestId | None = Field(default=None, pattern=REQUEST_ID)
    requester: Word = ""
    priority: Priority | None = None
    """None: `bulk` when all units are asked for, else `normal`."""
    deadline: float | None = Field(default=None, gt=0, le=30 * 86400)
    """Seconds from acceptance; what has not ended by then is canceled."""
    plan: bool = False
    """Only say what would be built, and why (plan.drawn on cb.plan)."""

    @model_validator(mode="after")
    def _names_something(self) -> BuildRequested:
        if bool(self.units) + self.all + bool(self.since) != 1:
            raise ValueError(
                'name the units to build in "units", or say "all": true, or "since": a commit (one of them)'
            )
        return self


class BuildCancelRequested(Payload):
    """Stop a request: nothing more of it is started, what runs is ended."""

    type: ClassVar[str] = "build.cancel-requested"

    request_id: RequestId = Field(max_length=1000)
    requester: Word = ""


class SourceAddRequested(Payload):
    """Follow a git repository under a name. Naming a known one again changes its URL or branch."""

    type: ClassVar[str] = "source.add-requested"

    source: SourceName = Field(pattern=SOURCE_NAME)
    url: Word
    branch: Word = ""
    """Empty: the default branch of the repository."""


class SourceRemoveRequested(Payload):
    """Forget a source. What was built from it stays published."""

    type: ClassVar[str] = "source.remove-requested"

    source: SourceName = Field(max_length=1000)
