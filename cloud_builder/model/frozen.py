"""The two manners of a value: strict about what users write, lenient about what other daemons send."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A value that a person writes: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Lenient(BaseModel):
    """A value that a program sends: an unknown key is ignored, so that newer writers do not stop older readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")
