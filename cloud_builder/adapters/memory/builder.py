"""A builder that builds nothing: every order ends at once in success, or as the caller says.

For tests of what surrounds a build, and for measuring the mesh without its builds."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.outcome import Outcome

Build = Callable[[JobAssigned, Callable[[bytes], None], Event], Outcome]


def _nothing(order: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> Outcome:
    return Outcome.SUCCESS


class MemoryBuilder:
    """`build`: what is done for an order, and its outcome."""

    def __init__(self, build: Build = _nothing) -> None:
        self._build = build
        self.sweeps = 0

    def build(self, order: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        started_at = time.time()
        outcome = self._build(order, log, cancel)
        return AttemptFinished(
            job_id=order.job_id,
            attempt=order.attempt,
            runner_id=order.runner_id,
            outcome=outcome,
            started_at=started_at,
            finished_at=time.time(),
        )

    def buildroots(self) -> tuple[str, ...]:
        return ()

    def sweep(self) -> None:
        self.sweeps += 1
