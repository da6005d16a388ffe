"""Which event goes where in the scheduler."""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Role
from cloud_builder.model.settings import SchedulerSettings
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.state import Documents

from . import admission, deadline, dispatch, results, shared_queue
from .config import SchedulerConfig
from .retention import Retention
from .state import SchedulerState
from .unschedulable import UnschedulableReporter
from .usage_store import UsageStore


class SchedulerFlow:
    """cb-scheduler as the mesh loop sees it. `objects_url`: where CI can fetch artifacts by digest."""

    role = Role.SCHEDULER
    instance = ""

    def __init__(self, settings: SchedulerSettings, objects_url: str, dispatch: Dispatch = Dispatch.DIRECTED) -> None:
        self._config = SchedulerConfig.from_settings(settings, objects_url, dispatch)
        self._retention = Retention(self._config)
        self._world: SchedulerState | None = None
        self._listening_since: float | None = None
        self._blocked = UnschedulableReporter()
        self._usage = UsageStore()

    @property
    def world(self) -> SchedulerState:
        assert self._world is not None, "restore() comes first"
        return self._world

    def restore(self, state: Documents) -> None:
        runners = self._world.runners if self._world else {}
        self._world = SchedulerState(state, self._config.queue_policy)
        self._world.runners.update(runners)

    def republish(self, work: UnitOfWork) -> None:
        """The broker forgot everything: the collector publishes what it missed, and clients learn of their results.

        Orders that were lost come back by themselves: their runner does not list them."""
        results.republish(self.world, work)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        world = self.world
        match event.payload:
            case e.SourceRevised() as payload:
                self._add_snapshot_part(work, payload)
            case e.SourceRemoved() as payload:
                world.atlas.forget(work, payload.source)
            case e.RequestAccepted() as payload:
                self._admit(work, [payload])
            case e.RequestRejected() as payload:
                admission.on_request_rejected(world, work, payload, self._config)
            case e.BuildCancelRequested() as payload:
                admission.cancel(world, work, payload)
            case e.RunnerSeen() as payload:
                dispatch.on_runner_seen(world, work, payload, self._config)
            case e.RunnerDraining() as payload:
                dispatch.on_runner_draining(world, work, payload)
            case e.AttemptClaimed() as payload:
                shared_queue.on_claim(world, work, payload, self._config)
            case e.AttemptStarted() as payload:
                results.on_attempt_started(world, work, payload)
            case e.AttemptFinished() as payload:
                results.on_attempt_finished(world, work, payload, self._config)
            case e.RepositoryPublished() as payload:
                results.on_repository_published(world, work, payload)
            case e.PublishFailed() as payload:
                results.on_publish_failed(world, work, payload)

    def tick(self, work: UnitOfWork) -> None:
        self._begin_listening(work)
        if self._listening_since is not None:
            if work.caught_up:
                self._admit(work, self.world.early.pop_expired(work, self._listening_since), waited=True)
                dispatch.check_leases(self.world, work, self._config, self._listening_since)
            shared_queue.expire_offers(self.world, work, self._config)
            dispatch.dispatch_jobs(self.world, work, self._config)
            if work.now - self._listening_since > self._config.lease:
                self._blocked.tell(self.world, work)
        deadline.check(self.world, work)
        results.finish_requests(self.world, work, self._config)
        self._retention.forget(self.world, work)
        self._usage.keep(self.world.queue, work)

    def _add_snapshot_part(self, work: UnitOfWork, part: e.SourceRevised) -> None:
        world = self.world
        world.forget_published(work, part.source, world.atlas.add_part(work, part))
        if part.part == part.parts - 1:
            self._admit(work, world.early.pop_ready(work, part.source, part.revision))

    def _admit(self, work: UnitOfWork, requests: Iterable[e.RequestAccepted], *, waited: bool = False) -> None:
        for request in requests:
            admission.admit(self.world, work, request, self._config, waited=waited)

    def _begin_listening(self, work: UnitOfWork) -> None:
        """We listen from when all that happened before us is handled until the broker goes away: what was not heard
        outside of that is nobody's silence."""
        if work.now - work.broker_seen > self._config.lease / 4:
            self._listening_since = None
        elif self._listening_since is None and work.caught_up:
            self._listening_since = work.now

    def max_wait(self) -> float:
        """Retries and leases are counted in seconds; half of one is soon enough."""
        return 0.5

    def stop(self, work: UnitOfWork) -> None:
        """The state is in the documents but for what was used in the last seconds."""
        self._usage.keep(self.world.queue, work, now=True)
