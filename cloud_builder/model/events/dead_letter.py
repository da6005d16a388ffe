"""Messages that a daemon could not read or handle (cb.dead-letter)."""

from __future__ import annotations

from typing import ClassVar

from .payload import Payload


class MessageDead(Payload):
    """A message that a daemon could not read or handle.

    `value` and header values are base64 of the original bytes; `key` too (None: no key). Of a message that is too large
    for a letter they are only the beginnings, and `whole_size` says how many bytes there are: all of them lie at
    `topic`, `partition`, `offset` for as long as the topic keeps them."""

    type: ClassVar[str] = "message.dead"

    dead_id: str
    daemon: str
    topic: str
    partition: int
    offset: int
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...] = ()
    whole_size: int | None = None
    """Bytes of key, value and headers; None: nothing was cut."""
    reason: str
    at: float
