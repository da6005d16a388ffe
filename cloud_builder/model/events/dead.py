"""Messages that a daemon could not read or handle (cb.dead-letter)."""

from __future__ import annotations

from typing import ClassVar

from .payload import Payload


class MessageDead(Payload):
    """A message that a daemon could not read or handle, kept whole.

    `value` and header values are base64 of the original bytes; `key` too (None: no key)."""

    type: ClassVar[str] = "message.dead"

    dead_id: str
    daemon: str
    topic: str
    partition: int
    offset: int
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...] = ()
    reason: str
    at: float
