"""Says once that the broker is gone and once that it is back, and spaces the attempts in between.

At a start other things may be unwell, too (the disk with the daemon's state, a signing key): those are not the broker's
absence, and each other reason is said.
"""

from __future__ import annotations

import logging
import time

from cloud_builder.errors import Retryable

UNREACHABLE = "broker unreachable, waiting"
NOT_READY = "cannot begin, will be tried again"
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 3.0
_LOG = logging.getLogger("cb.mesh")


class Outage:
    """`delay`: seconds to wait before the next attempt; 0 while all is well."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._since = 0.0
        self._said = ""

    def __bool__(self) -> bool:
        return self.delay > 0

    @property
    def what(self) -> str:
        """What we wait for, in words; empty while all is well."""
        return self._said.partition(": ")[0]

    def failed(self, error: Retryable, *, is_ours: bool = False) -> None:
        """An attempt failed. `is_ours`: while the broker answered."""
        if not self:
            self._since = time.monotonic()
        what = NOT_READY if is_ours else UNREACHABLE
        said = f"{what}: {error.message}" if is_ours else what
        if said != self._said:
            self._said = said
            _LOG.warning(what, extra={"reason": error.message, "hint": error.hint or None})
        self.delay = min(max(self.delay * 2, _FIRST_DELAY), _LONGEST_DELAY)

    def recovered(self) -> None:
        """Everything went well."""
        if self:
            back = "broker is back" if self.what == UNREACHABLE else "ready at last"
            _LOG.info(back, extra={"after_seconds": round(time.monotonic() - self._since, 1)})
        self.delay, self._said = 0.0, ""
