"""Logs once that the broker is gone and once that it is back, and spaces the attempts in between.

A start may also fail for local reasons (the disk with the daemon's state, a signing key). These are not an outage of
the broker, and each new reason is logged.
"""

from __future__ import annotations

import logging
import time

from cloud_builder.errors import Retryable

UNREACHABLE = "broker unreachable, waiting"
NOT_READY = "cannot start, will be tried again"
_FIRST_DELAY = 0.1
_MAX_DELAY = 3.0
_LOG = logging.getLogger("cb.mesh")


class Outage:
    """An outage, or none: true while attempts fail. `delay`: seconds until the next attempt; 0 without an outage."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._since = 0.0
        self._logged = ""

    def __bool__(self) -> bool:
        return self.delay > 0

    @property
    def what(self) -> str:
        """The status for people while attempts fail; empty otherwise."""
        return self._logged.partition(": ")[0]

    def failed(self, error: Retryable, *, is_local: bool = False) -> None:
        """Records a failed attempt. `is_local`: the broker answered, and the error is this host's."""
        if not self:
            self._since = time.monotonic()
        what = NOT_READY if is_local else UNREACHABLE
        status = f"{what}: {error.message}" if is_local else what
        if status != self._logged:
            self._logged = status
            _LOG.warning(what, extra={"reason": error.message, "hint": error.hint or None})
        self.delay = min(max(self.delay * 2, _FIRST_DELAY), _MAX_DELAY)

    def recovered(self) -> None:
        """Records a successful attempt."""
        if self:
            message = "broker is back" if self.what == UNREACHABLE else "ready"
            _LOG.info(message, extra={"after_seconds": round(time.monotonic() - self._since, 1)})
        self.delay, self._logged = 0.0, ""
