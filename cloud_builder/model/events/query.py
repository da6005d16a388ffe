"""Questions to cb-info and its answers (cb.query, cb.answer)."""

from __future__ import annotations

from typing import Any, ClassVar

from cloud_builder.model.ids import (
    QueryId,
)

from .payload import Payload


class InfoAsked(Payload):
    """A question to cb-info: `what` names the view (units, status, log, …), `args` narrow it."""

    type: ClassVar[str] = "info.asked"

    query_id: QueryId
    what: str
    args: dict[str, Any] = {}


class InfoAnswered(Payload):
    """The answer: `data`, or an error with the nearest valid name in its hint."""

    type: ClassVar[str] = "info.answered"

    query_id: QueryId
    data: Any = None
    code: str = ""
    message: str = ""
    hint: str = ""
