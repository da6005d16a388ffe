"""The live runners: their records, the jobs that each has, and how many of their slots may be used.

Kept in memory only, except for the runners' health (`quarantine.py`): runners announce themselves with each heartbeat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set

from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule import shared_queue
from cloud_builder.planning.schedule.free_slots import FreeSlots, RunnerRequirements
from cloud_builder.planning.schedule.unschedulable import why_unschedulable
from cloud_builder.ports.state import Documents

from .quarantine import RunnerQuarantine

AttemptKey = tuple[JobId, int]
"""A job and the number of its attempt."""


class RunnerTable:
    """The live runners by id. `runners`: those that were known before a rollback.

    by_id                   the newest record of each runner
    jobs_by_runner          runner → the jobs that are assigned to it
    missing_from_heartbeat  attempts that their runner did not list in its last heartbeat, and since when
    free_slots              as of the last `refresh_free_slots`, less what was matched since
    quarantine              the health of runners
    """

    def __init__(self, documents: Documents, runners: Iterable[RunnerRecord] = ()) -> None:
        self._by_id: dict[RunnerId, RunnerRecord] = {runner.runner_id: runner for runner in runners}
        self._jobs: dict[RunnerId, set[JobId]] = defaultdict(set)
        self._missing_since: dict[AttemptKey, float] = {}
        self.by_id: Mapping[RunnerId, RunnerRecord] = self._by_id
        self.jobs_by_runner: Mapping[RunnerId, Set[JobId]] = self._jobs
        self.missing_from_heartbeat: Mapping[AttemptKey, float] = self._missing_since
        self.free_slots = FreeSlots()
        self.quarantine = RunnerQuarantine(documents)

    # --- changes --------------------------------------------------------------------------------------------------

    def save(self, runner: RunnerRecord) -> None:
        self._by_id[runner.runner_id] = runner

    def remove(self, runner_id: RunnerId) -> None:
        self._by_id.pop(runner_id, None)

    def remove_silent(self, now: float, since: float, lease: float) -> list[RunnerId]:
        """Removes and returns the runners without a heartbeat for a lease. `since`: see `silent_with_jobs`."""
        silent = [runner.runner_id for runner in self._by_id.values() if now - max(runner.last_seen, since) > lease]
        for runner_id in silent:
            del self._by_id[runner_id]
        return silent

    def add_job(self, job: JobRecord) -> None:
        if job.is_assigned and job.runner_id:
            self._jobs[job.runner_id].add(job.job_id)

    def replace_job(self, before: JobRecord, job: JobRecord) -> None:
        if before.runner_id:
            self._jobs[before.runner_id].discard(job.job_id)
        self.add_job(job)
        if job.is_finished:
            self._missing_since.pop((job.job_id, job.attempt), None)

    def occupy(self, runner_id: RunnerId, attempts: Set[AttemptKey]) -> None:
        """Counts the slots of new attempts as used before the runner's next heartbeat lists them."""
        runner = self._by_id[runner_id]
        self._by_id[runner_id] = runner.model_copy(update={"attempts": runner.attempts | attempts})

    def release(self, runner_id: RunnerId, attempt: AttemptKey) -> None:
        """Frees the slot of an attempt that has ended."""
        self._missing_since.pop(attempt, None)
        runner = self._by_id.get(runner_id)
        if runner is not None:
            self._by_id[runner_id] = runner.model_copy(update={"attempts": runner.attempts - {attempt}})

    def missing_since(self, attempt: AttemptKey, now: float) -> float:
        """Returns since when heartbeats do not list an attempt; `now` if this is the first one."""
        return self._missing_since.setdefault(attempt, now)

    def clear_missing(self, attempt: AttemptKey) -> None:
        self._missing_since.pop(attempt, None)

    def refresh_free_slots(self, offered: Collection[JobRecord], now: float) -> None:
        """Counts the free slots again. `offered`: jobs with an open offer; each reserves a slot."""
        runners = shared_queue.reserved(self._by_id, offered) if offered else self._by_id
        self.free_slots.update(runners, self.quarantine.slot_limits(self._by_id.values(), now))

    # --- lookups --------------------------------------------------------------------------------------------------

    def jobs_on(self, runner_id: RunnerId) -> Set[JobId]:
        """Returns the jobs that are assigned to a runner."""
        return self._jobs.get(runner_id, frozenset())

    def silent_with_jobs(self, now: float, since: float, lease: float) -> Iterator[tuple[RunnerId, float, list[JobId]]]:
        """Yields each runner with jobs that was silent for longer than a lease: its id, the seconds, its jobs.

        `since`: when this scheduler began to receive heartbeats without a gap; silence before that counts for no
        runner. The caller may reassign the jobs meanwhile."""
        for runner_id, jobs in list(self._jobs.items()):
            if not jobs:
                continue
            runner = self._by_id.get(runner_id)
            silent = now - max(runner.last_seen if runner else 0.0, since)
            if silent > lease:
                yield runner_id, silent, list(jobs)

    def with_usable_slots(self, runner_id: RunnerId, now: float) -> RunnerRecord | None:
        """Returns a runner with the slots that may be used now; None if it is unknown or may use none."""
        runner = self._by_id.get(runner_id)
        if runner is None:
            return None
        slots = self.quarantine.slot_limits(self._by_id.values(), now).get(runner_id, runner.slots)
        return runner.model_copy(update={"slots": min(slots, runner.slots)}) if slots else None

    def why_unschedulable(self, requirements: RunnerRequirements) -> str:
        """Returns why no live runner takes jobs with these requirements now; empty if one does."""
        slots = self.free_slots
        eligible = [slots.runner(runner_id) for runner_id in slots.eligible_runners(requirements)]
        return self.quarantine.why_none(eligible) if eligible else why_unschedulable(requirements, slots.runners())

    @property
    def version(self) -> tuple[int, int]:
        """Changes whenever the answer of `why_unschedulable` may have changed."""
        return self.free_slots.version, self.quarantine.version
