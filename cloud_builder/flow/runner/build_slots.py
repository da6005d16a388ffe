"""The slots of a runner and the builds in them.

Input: assignments to build. Output: the reports of builds that have ended. A report counts as uncommitted until the
transaction that emits it is committed; after a rollback it is returned again. Used by the flow's thread alone; the
builds run in threads of their own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from functools import partial
from queue import Empty, SimpleQueue

from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.ids import JobId
from cloud_builder.model.limits import Limits
from cloud_builder.ports.builder import Builder

from .active_build import ActiveBuild
from .build_threads import BuildThreads

_LOG = logging.getLogger("cb.runner")

BUSY_POLL, IDLE_POLL = 0.01, 0.1
"""Seconds between two checks of running builds, at least and at most."""
IDLE_AFTER = 50
"""The age of the youngest build, divided by this, is the time until the next check. The end of a build is thus noticed
within 2 % of its duration, and an hour of build costs few checks."""


class BuildSlots:
    """The slots. `count`: how many there are. `limits`: of this runner; they replace those of an assignment."""

    def __init__(self, builder: Builder, count: int, limits: Limits) -> None:
        self._builder, self._count, self._limits = builder, count, limits
        self._active: dict[JobId, ActiveBuild] = {}
        self._reports: SimpleQueue[AttemptFinished] = SimpleQueue()
        """Filled by the builds' threads."""
        self._uncommitted: list[tuple[ActiveBuild, AttemptFinished]] = []
        self._threads = BuildThreads()

    @property
    def active(self) -> Mapping[JobId, ActiveBuild]:
        return self._active

    @property
    def free(self) -> int:
        """The number of slots without a build."""
        return self._count - len(self._active)

    def start(self, assignment: JobAssigned) -> None:
        """Starts a build. No other attempt of its job may be active."""
        build = self._active[assignment.job_id] = ActiveBuild(assignment)
        limited = assignment.model_copy(update={"limits": self._limits})
        self._threads.submit(partial(build.run, self._builder, limited, self._reports.put), len(self._active))

    def finished(self) -> Iterator[tuple[ActiveBuild, AttemptFinished]]:
        """Yields the builds that have ended, with their reports, and frees their slots."""
        while not self._reports.empty():
            report = self._reports.get()
            build = self._active.pop(report.job_id)
            self._uncommitted.append((build, report))
            yield build, report

    def commit(self) -> None:
        """Drops the reports that `finished` has returned: their transaction is committed."""
        self._uncommitted.clear()

    def roll_back(self) -> None:
        """Makes `finished` return its reports since the last commit again."""
        for build, report in self._uncommitted:
            self._active[report.job_id] = build
            self._reports.put(report)
        self._uncommitted.clear()

    def poll_interval(self) -> float:
        """Returns the seconds until the builds are checked again. There is at least one build."""
        youngest = time.monotonic() - max(build.started for build in self._active.values())
        return min(max(BUSY_POLL, youngest / IDLE_AFTER), IDLE_POLL)

    def stop_all(self, cause: str) -> None:
        """Cancels all builds that are not canceled yet."""
        for job_id, build in self._active.items():
            if not build.cancel.is_set():
                _LOG.warning("stopping", extra={"job": job_id, "attempt": build.assignment.attempt, "why": cause})
                build.stop(cause)

    def wait_for_reports(self, timeout: float) -> Iterator[tuple[JobAssigned, AttemptFinished | None]]:
        """Frees all slots. Yields each assignment with its report; None: the build has not ended within `timeout`."""
        give_up_at = time.monotonic() + timeout
        while self._active:
            try:
                report = self._reports.get(timeout=max(0.0, give_up_at - time.monotonic()))
            except Empty:
                break
            yield self._active.pop(report.job_id).assignment, report
        for build in self._active.values():
            yield build.assignment, None
        self._active.clear()

    def wait_idle(self, timeout: float) -> bool:
        """Waits until the threads of all builds are idle; False: not within `timeout` seconds."""
        return self._threads.wait_idle(timeout)
