"""Rejects a message on cb.request that cannot be decoded, and addresses the rejection to its client if it can."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import REQUEST_ID, BuildRequested, RequestRejected
from cloud_builder.model.ids import RequestId
from cloud_builder.model.text import utf8

from .replies import rejected_event

_HINT = 'The least is {"source": "NAME", "units": ["PATH"]}, or "all": true instead of units.'


def rejection(value: bytes | None, reason: str, at: float) -> RequestRejected:
    """Returns the rejection of a message, with the fields that can be read of it.

    The request id is the client's if it is valid, else one made from the content.
    """
    body = _object(value)
    given = body.get("request_id")
    digest = sha256(value or b"").hexdigest()[:10]
    is_valid = isinstance(given, str) and re.fullmatch(REQUEST_ID, given) is not None and given.isprintable()
    request_id = RequestId(str(given) if is_valid else f"malformed-{digest}")
    error = Rejected(reason, code="malformed", hint=_HINT)
    text = {key: utf8(found) for key in ("source", "ref", "requester") if isinstance(found := body.get(key), str)}
    return rejected_event(request_id, error, **{"source": "", **text}, at=at)


def is_build_request(reason: str) -> bool:
    """Returns False when the reason names another event of the topic as the message's type."""
    named = re.match(r"^([a-z]+\.[a-z-]+): ", reason)
    return named is None or named[1] == BuildRequested.type


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
