"""The port `Builder` without builds: each assignment succeeds at once, or ends as the caller's function decides.

For tests of what surrounds a build, and for measuring the mesh without its builds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.outcome import Outcome

Build = Callable[[JobAssigned, Callable[[bytes], None], Event], Outcome]


def _succeed(assignment: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> Outcome:
    return Outcome.SUCCESS


class MemoryBuilder:
    """A builder that builds nothing. `build`: called for each assignment; returns its outcome."""

    def __init__(self, build: Build = _succeed) -> None:
        self._build = build
        self.sweeps = 0

    def build(self, assignment: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        started_at = time.time()
        outcome = self._build(assignment, log, cancel)
        return AttemptFinished(
            job_id=assignment.job_id,
            attempt=assignment.attempt,
            runner_id=assignment.runner_id,
            outcome=outcome,
            started_at=started_at,
            finished_at=time.time(),
        )

    def buildroots(self) -> tuple[str, ...]:
        return ()

    def sweep(self) -> None:
        self.sweeps += 1
