"""Says once that the broker is gone and once that it is back, and spaces the attempts in between."""

from __future__ import annotations

import logging
import time

from cloud_builder.errors import Retryable

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 3.0
_LOG = logging.getLogger("cb.mesh")


class Outage:
    """`delay`: seconds to wait before the next attempt; 0 while all is well."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._since = 0.0

    def __bool__(self) -> bool:
        return self.delay > 0

    def goes_on(self, error: Retryable) -> None:
        """An attempt failed."""
        if not self:
            self._since = time.monotonic()
            _LOG.warning("broker unreachable, waiting", extra={"reason": error.message, "hint": error.hint or None})
        self.delay = min(max(self.delay * 2, _FIRST_DELAY), _LONGEST_DELAY)

    def is_over(self) -> None:
        """Everything went well."""
        if self:
            _LOG.info("broker is back", extra={"after_seconds": round(time.monotonic() - self._since, 1)})
        self.delay = 0.0
