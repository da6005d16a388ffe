"""Decides when git is queried again for a pending request."""

from __future__ import annotations

from .entries import PendingRequest

SOURCE_TIMEOUT = 60.0
"""Seconds that a request waits for a source with temporary errors; then it is rejected."""
_MAX_RETRY_DELAY = 10.0
"""Seconds between two tries; the delay doubles from one second up to this."""


def may_retry(pending: PendingRequest, now: float) -> bool:
    return now - pending.received_at < SOURCE_TIMEOUT


def postpone(pending: PendingRequest, now: float) -> PendingRequest:
    delay = min(_MAX_RETRY_DELAY, 2.0**pending.tries)
    return pending.model_copy(update={"retry_at": now + delay, "tries": pending.tries + 1})


def clamp_retry_time(pending: PendingRequest, now: float) -> PendingRequest:
    """Returns the request due now if its `retry_at` is later than any delay allows: the clock was set back."""
    if pending.retry_at <= now + _MAX_RETRY_DELAY:
        return pending
    return pending.model_copy(update={"retry_at": now, "received_at": now})
