"""A message on cb.request that is no wish: who can be told, and what."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import REQUEST_ID, BuildRequested, RequestRejected
from cloud_builder.model.ids import RequestId

from .replies import rejected_event

_HINT = 'The least is {"source": "NAME", "units": ["PATH"]}, or "all": true instead of units.'


def rejection(value: bytes | None, reason: str, at: float) -> RequestRejected:
    """The rejection of a message by what can be read of it. Its id is the client's, else made from the content."""
    body = _object(value)
    given = body.get("request_id")
    digest = sha256(value or b"").hexdigest()[:10]
    is_given = isinstance(given, str) and re.fullmatch(REQUEST_ID, given) is not None and given.isprintable()
    request_id = RequestId(str(given) if is_given else f"malformed-{digest}")
    error = Rejected(reason, code="malformed", hint=_HINT)
    text = {key: _utf8(found) for key in ("source", "ref", "requester") if isinstance(found := body.get(key), str)}
    return rejected_event(request_id, error, **{"source": "", **text}, at=at)


def _utf8(text: str) -> str:
    """JSON may name halves of surrogate pairs, which cannot be written again."""
    return text.encode(errors="backslashreplace").decode()


def is_build_request(reason: str) -> bool:
    """True unless the reason says that it was meant to be another event of the topic."""
    named = re.match(r"^([a-z]+\.[a-z-]+): ", reason)
    return named is None or named[1] == BuildRequested.type


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
