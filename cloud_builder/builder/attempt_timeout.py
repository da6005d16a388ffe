"""The time limit of a whole attempt: it ends an attempt in any step, so that its slot is free again.

The limits `time` and `silence` apply to one program of a build. This limit applies to all of them together, and to
waiting outside of a program: for a git server that sends a byte a minute, a mirror that never answers, a hung store.
"""

from __future__ import annotations

from threading import Event, Timer
from types import TracebackType

from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome

from .outcome import BuildOutcome

_STEPS_OF_THE_SOURCE = ("unpack", "build", "collect", "test")
"""Steps whose duration depends on the source: exceeding the limit there is a failure, elsewhere an error."""


class AttemptTimeout:
    """A context manager that sets `cancel` when the attempt has taken longer than its limit."""

    def __init__(self, limits: Limits, cancel: Event) -> None:
        self._seconds, self._cancel = limits.whole, cancel
        self._timer = Timer(self._seconds, self._on_timeout)
        self._timer.daemon = True
        self.has_passed = False

    def __enter__(self) -> AttemptTimeout:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()

    def outcome(self, step: str) -> BuildOutcome:
        """Returns the outcome of an attempt that timed out in this step."""
        message = f"{step}: the whole attempt took longer than the limit `deadline`, {self._seconds:g} s"
        if step in _STEPS_OF_THE_SOURCE:
            hint = "Make the build smaller, or raise the limit in the runner's settings (limits)."
            return BuildOutcome(Outcome.FAILURE, "limit-deadline", message, hint)
        hint = f"Read in the log what {step} was waiting for, and check that server or disk."
        return BuildOutcome(Outcome.ERROR, "limit-deadline", message, hint)

    def _on_timeout(self) -> None:
        if not self._cancel.is_set():
            self.has_passed = True
            self._cancel.set()
