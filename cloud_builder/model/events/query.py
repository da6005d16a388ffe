"""Queries to cb-info and its answers (cb.query, cb.answer)."""

from __future__ import annotations

from typing import Any, ClassVar

from cloud_builder.model.ids import (
    QueryId,
)

from .payload import Payload


class InfoAsked(Payload):
    """A query to cb-info."""

    type: ClassVar[str] = "info.asked"

    query_id: QueryId
    what: str
    """The view: `units`, `status`, `log`, …"""
    args: dict[str, Any] = {}
    """Filters and limits of the view."""


class InfoAnswered(Payload):
    """The answer to a query: `data`, or an error with the nearest valid name in `hint`."""

    type: ClassVar[str] = "info.answered"

    query_id: QueryId
    data: Any = None
    code: str = ""
    message: str = ""
    hint: str = ""
