"""One build in a slot: what the flow and the build's thread share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.ports.builder import Builder

from .attempt_reports import finished_report
from .livelog import LiveLog

_LOG = logging.getLogger("cb.runner")


class ActiveBuild:
    """A build that has a slot.

    cancel       ends the build when set
    log          its live log
    started      when it started, in seconds of the monotonic clock
    stop_cause   why the runner stopped it; decides what is reported; empty: the runner did not
    """

    def __init__(self, assignment: JobAssigned) -> None:
        self.assignment = assignment
        self.cancel = threading.Event()
        self.log = LiveLog()
        self.started = time.monotonic()
        self.stop_cause = ""

    def stop(self, cause: str) -> None:
        """Cancels the build. Only the first cause counts."""
        self.stop_cause = self.stop_cause or cause
        self.cancel.set()

    def run(self, builder: Builder, assignment: JobAssigned, report: Callable[[AttemptFinished], None]) -> None:
        """Builds and reports, in the build's thread. `assignment`: with the limits of this runner.

        A builder never raises. If it does, that is a bug of Cloud Builder, and is reported as an error."""
        try:
            report(builder.build(assignment, self.log.write, self.cancel))
        except Exception as error:
            _LOG.exception("builder-bug", extra={"job": assignment.job_id})
            report(finished_report(assignment, time.time(), "bug", f"{type(error).__name__}: {error}"))
