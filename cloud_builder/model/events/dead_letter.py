"""Messages that a daemon could not read or handle (cb.dead-letter)."""

from __future__ import annotations

from typing import ClassVar

from .payload import Payload


class MessageDead(Payload):
    """A message that a daemon could not read or handle (a dead letter).

    `key`, `value` and the values of `headers` are base64 of the original bytes. If the message is too large for a dead
    letter, they are only the first bytes. The whole message is at `topic`, `partition`, `offset`, for as long as the
    topic keeps it."""

    type: ClassVar[str] = "message.dead"

    dead_id: str
    daemon: str
    """The daemon that could not handle it."""
    topic: str
    partition: int
    offset: int
    key: str | None
    """None: the message has no key."""
    value: str | None
    headers: tuple[tuple[str, str], ...] = ()
    whole_size: int | None = None
    """Bytes of the whole message, if it was shortened; None: it was not."""
    reason: str
    at: float
