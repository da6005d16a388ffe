"""The scheduler as the mesh loop sees it: which event is handled where, and what each tick does."""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.role import Role
from cloud_builder.model.settings import SchedulerSettings
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.state import Documents

from . import admission, deadline, dispatch, results, shared_queue, versions
from .config import SchedulerConfig
from .retention import Retention
from .state import SchedulerState
from .unschedulable import UnschedulableReporter
from .usage_store import UsageStore


class SchedulerFlow:
    """The behaviour of cb-scheduler. `objects_url`: where clients fetch artifacts by their digest."""

    role = Role.SCHEDULER
    instance = ""

    def __init__(self, settings: SchedulerSettings, objects_url: str, dispatch: Dispatch = Dispatch.DIRECTED) -> None:
        self._config = SchedulerConfig.from_settings(settings, objects_url, dispatch)
        self._state: SchedulerState | None = None
        self._listening_since: float | None = None
        self._retention = Retention(self._config)
        self._unschedulable = UnschedulableReporter()
        self._usage = UsageStore()

    @property
    def state(self) -> SchedulerState:
        assert self._state is not None, "restore() comes first"
        return self._state

    def restore(self, documents: Documents) -> None:
        """Reads the state from the documents. Live runners are in memory only, and stay over a rollback."""
        runners = self._state.runners.by_id.values() if self._state else ()
        self._state = SchedulerState(documents, self._config.queue_policy, runners)

    def republish(self, work: UnitOfWork) -> None:
        """Emits again what a broker without its data lacks: the collector publishes what it missed, and clients get
        their results.

        Lost assignments need no repetition: their runners do not list them, so their attempts are given up."""
        results.republish(self.state, work)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        state = self.state
        match event.payload:
            case e.SourceRevised() as payload:
                self._on_source_revised(work, payload)
            case e.SourceRemoved() as payload:
                state.catalog.remove(work, payload.source)
            case e.RequestAccepted() as payload:
                self._admit(work, [payload])
            case e.RequestRejected() as payload:
                admission.on_request_rejected(state, work, payload, self._config)
            case e.BuildCancelRequested() as payload:
                admission.on_cancel_requested(state, work, payload)
            case e.RunnerSeen() as payload:
                dispatch.on_runner_seen(state, work, payload, self._config)
            case e.RunnerDraining() as payload:
                dispatch.on_runner_draining(state, work, payload)
            case e.AttemptClaimed() as payload:
                shared_queue.on_claim(state, work, payload, self._config)
            case e.AttemptStarted() as payload:
                results.on_attempt_started(state, work, payload)
            case e.AttemptFinished() as payload:
                results.on_attempt_finished(state, work, payload, self._config)
            case e.RepositoryPublished() as payload:
                results.on_repository_published(state, work, payload)
            case e.PublishFailed() as payload:
                results.on_publish_failed(state, work, payload)

    def tick(self, work: UnitOfWork) -> None:
        """Checks what depends on time, dispatches jobs, and ends requests. Judges no silence and dispatches nothing
        while heartbeats are not received."""
        self._update_listening(work)
        if self._listening_since is not None:
            if work.caught_up:
                self._admit(work, self.state.deferred.pop_expired(work, self._listening_since), have_waited=True)
                dispatch.check_leases(self.state, work, self._config, self._listening_since)
            shared_queue.expire_offers(self.state, work, self._config)
            dispatch.dispatch_jobs(self.state, work, self._config)
            if work.now - self._listening_since > self._config.lease:
                self._unschedulable.report(self.state, work)
        deadline.check_deadlines(self.state, work)
        results.finish_requests(self.state, work, self._config)
        self._retention.prune(self.state, work)
        self._usage.save(self.state.jobs.queue, work)

    def _on_source_revised(self, work: UnitOfWork, part: e.SourceRevised) -> None:
        """Adds a part of a source snapshot; with the last part, admits the requests that waited for the snapshot."""
        removed = self.state.catalog.add_part(work, part)
        self.state.published.remove_units(work, part.source, removed)
        versions.remove_units(work, part.source, removed)
        if part.part == part.parts - 1:
            self._admit(work, self.state.deferred.pop_ready(work, part.source, part.revision))

    def _admit(self, work: UnitOfWork, requests: Iterable[e.RequestAccepted], *, have_waited: bool = False) -> None:
        for request in requests:
            admission.admit(self.state, work, request, self._config, has_waited=have_waited)

    def _update_listening(self, work: UnitOfWork) -> None:
        """Records since when heartbeats are received without a gap: from the end of the initial catch-up to the next
        loss of the broker. Leases are only checked against this interval."""
        if work.now - work.broker_seen > self._config.lease / 4:
            self._listening_since = None
        elif self._listening_since is None and work.caught_up:
            self._listening_since = work.now

    def max_wait(self) -> float:
        """Returns half a second: retry delays and leases are counted in seconds."""
        return 0.5

    def stop(self, work: UnitOfWork) -> None:
        """Stores the usage of the last seconds; everything else is in the documents already."""
        self._usage.save(self.state.jobs.queue, work, now=True)
