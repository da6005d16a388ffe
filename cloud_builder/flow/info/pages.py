"""Makes pages of rows that fit into a message. A page that is not the last names the row to go on `after`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.parts import MAX_PART_BYTES

MAX_ROWS = 1000
DEFAULT_ROWS = 100

Row = tuple[str, dict[str, Any]]
"""A key that does not depend on other rows, and the content of the row."""


def page(rows: Iterable[Row], args: dict[str, Any]) -> dict[str, Any]:
    """Returns `{"items": […], "next": key or null}`, by the arguments `most` and `after`."""
    most = rows_of(args)
    items: list[dict[str, Any]] = []
    size, last = 0, None
    for key, row in _skipped(rows, str(args.get("after") or "")):
        size += len(json.dumps(row))
        if items and (len(items) >= most or size > MAX_PART_BYTES):
            return {"items": items, "next": last}
        items.append(row)
        last = key
    return {"items": items, "next": None}


def rows_of(args: dict[str, Any]) -> int:
    """Returns the number of rows that a page may have, by the argument `most`."""
    most = args.get("most") or DEFAULT_ROWS
    if not isinstance(most, int) or most < 1:
        raise Rejected(f"most {most!r}: not a positive number", code="bad-argument", hint=f"1 to {MAX_ROWS}")
    return min(most, MAX_ROWS)


def _skipped(rows: Iterable[Row], after: str) -> Iterator[Row]:
    """Returns the rows behind the row `after`; all rows if there is no such row (any more)."""
    if not after:
        yield from rows
        return
    seen: list[Row] = []
    remaining = iter(rows)
    for row in remaining:
        if row[0] == after:
            yield from remaining
            return
        seen.append(row)
    yield from chain(seen)
