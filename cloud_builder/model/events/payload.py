"""What every event body is."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.frozen import LenientModel

REQUEST_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Payload(LenientModel):
    """Body of an event."""

    type: ClassVar[str]
    version: ClassVar[int] = 1

    def wire(self) -> bytes | None:
        """The JSON as it travels; None: a tombstone. PydanticSerializationError for text that has no UTF-8."""
        return self.__pydantic_serializer__.to_json(self)
