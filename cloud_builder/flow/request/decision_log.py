"""Logs the decisions about sources and requests."""

from __future__ import annotations

import logging
from itertools import groupby

from cloud_builder.model.events import Payload, RequestAccepted, RequestRejected, SourceRevised, SourceTroubled

from .reconcile import Decision

_LOG = logging.getLogger("cb.request")


def log_decision(decision: Decision) -> None:
    """Writes one line an event; the parts of an announcement make one line together."""
    for announcement, events in groupby(decision.events, _announced_commit):
        if announcement is None:
            for event in events:
                _log_event(event)
        else:
            _log_announcement([event for event in events if isinstance(event, SourceRevised)])
    if decision.is_empty_push:
        head = decision.changes.head
        extra = {"source": decision.changes.source, "revision": (head.revision if head and head.revision else "")[:10]}
        _LOG.info("push changes no unit", extra=extra)


def _announced_commit(event: Payload) -> tuple[str, bool] | None:
    return (event.revision, event.followed) if isinstance(event, SourceRevised) else None


def _log_announcement(parts: list[SourceRevised]) -> None:
    first = parts[0]
    extra = {
        "source": first.source,
        "revision": first.revision[:10],
        "followed": first.followed,
        "units": sum(len(part.units) for part in parts),
        "problems": sum(len(part.problems) + sum(bool(unit.problems) for unit in part.units) for part in parts),
    }
    _LOG.info("announced", extra=extra)


def _log_event(event: Payload) -> None:
    match event:
        case RequestAccepted():
            about = {"source": event.source, "revision": event.revision[:10], "units": len(event.units)}
            _LOG.info("accepted", extra={"request": event.request_id, "origin": event.origin, **about})
        case RequestRejected():
            extra = {"request": event.request_id, "code": event.code, "cause": event.message}
            _LOG.info("rejected", extra=extra)
        case SourceTroubled() if event.message:
            _LOG.warning("source cannot be read", extra={"source": event.source, "cause": event.message})
        case SourceTroubled():
            _LOG.info("source can be read again", extra={"source": event.source})
