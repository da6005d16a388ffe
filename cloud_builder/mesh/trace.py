"""W3C trace context: an event that follows from another one has its trace id.

One id thus leads from a push to the packages that it published.

Source of the format: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from uuid import NAMESPACE_OID, uuid5

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def trace_id(traceparent: str | None, event_id: str) -> str:
    """Returns the trace id of an event; without a valid header the event starts a trace, named after its id."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found:
        return found[1]
    return event_id.replace("-", "") if _UUID.fullmatch(event_id) else uuid5(NAMESPACE_OID, event_id).hex


def child(trace: str, span: str) -> str:
    """Returns the header of a new event in that trace. `span`: 16 hexadecimal digits that identify the event."""
    return f"00-{trace}-{span}-01"
