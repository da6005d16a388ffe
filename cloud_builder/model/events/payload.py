"""The base class of event bodies."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.frozen import LenientModel

REQUEST_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""The pattern of a request id that a client chooses."""


class Payload(LenientModel):
    """The body of an event."""

    type: ClassVar[str]
    version: ClassVar[int] = 1

    def wire(self) -> bytes | None:
        """Returns the JSON to send; None: a tombstone.

        Raises PydanticSerializationError for text that cannot be UTF-8 (a lone surrogate)."""
        return self.__pydantic_serializer__.to_json(self)
