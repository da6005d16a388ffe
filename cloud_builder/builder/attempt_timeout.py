"""The time of a whole attempt: whatever it hangs in, it ends, and its slot is free again.

A program of a build has limits of its own (`time`, `silence`); this is for all of them together, and for what is no
program of the build: a git server that sends a byte a minute, a mirror that never answers, a store that stands still.
"""

from __future__ import annotations

from threading import Event, Timer
from types import TracebackType

from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome

from .outcome import BuildOutcome

_OF_THE_BUILD = ("unpack", "build", "collect")
"""Steps in which the source decides how long they take."""


class AttemptTimeout:
    """For the time of a block: sets `cancel` when the attempt has had its time."""

    def __init__(self, limits: Limits, cancel: Event) -> None:
        self._seconds, self._cancel = limits.whole, cancel
        self._timer = Timer(self._seconds, self._pass)
        self._timer.daemon = True
        self.has_passed = False

    def __enter__(self) -> AttemptTimeout:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()

    def verdict(self, step: str) -> BuildOutcome:
        """Of an attempt that it ended, in this step."""
        message = f"{step}: the whole attempt took longer than the limit `deadline`, {self._seconds:g} s"
        if step in _OF_THE_BUILD:
            hint = "Make the build smaller, or raise the limit in the runner's settings (limits)."
            return BuildOutcome(Outcome.FAILURE, "limit-deadline", message, hint)
        hint = f"What does {step} wait for? Its log tells how far it came."
        return BuildOutcome(Outcome.ERROR, "limit-deadline", message, hint)

    def _pass(self) -> None:
        if not self._cancel.is_set():
            self.has_passed = True
            self._cancel.set()
