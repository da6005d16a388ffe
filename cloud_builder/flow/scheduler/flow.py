"""Which event goes where in the scheduler."""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Role
from cloud_builder.model.settings import SchedulerSettings
from cloud_builder.planning.attempt.transitions import LONGEST_WAIT, RetryPolicy
from cloud_builder.planning.schedule.queue import Rules
from cloud_builder.ports.mesh import Received, Work
from cloud_builder.ports.state import Documents

from . import admission, deadline, dispatch, results, shared_queue
from .retention import Retention
from .state import World
from .unschedulable import Blocked
from .usage_store import UsageDocument


class SchedulerFlow:
    """cb-scheduler as the mesh loop sees it. `objects_url`: where CI can fetch artifacts by digest."""

    role = Role.SCHEDULER
    instance = ""

    def __init__(self, settings: SchedulerSettings, objects_url: str, dispatch: Dispatch = Dispatch.DIRECTED) -> None:
        self._shared = dispatch is Dispatch.SHARED_QUEUE
        self._lease = settings.lease
        self._policy = RetryPolicy(
            settings.max_errors,
            settings.retry_delay,
            poison=settings.poison,
            doubt=min(LONGEST_WAIT, 2 * settings.lease),
            distrust=settings.distrust,
        )
        self._objects_url = objects_url
        self._retention = Retention(settings.keep, settings.keep_built)
        self._rounds = settings.cycle_rounds
        self._world: World | None = None
        self._listening_since: float | None = None
        self._rules = Rules(settings.ageing, settings.weights, settings.quotas)
        self._blocked = Blocked()
        self._usage = UsageDocument()

    @property
    def world(self) -> World:
        assert self._world is not None, "restore() comes first"
        return self._world

    def restore(self, state: Documents) -> None:
        runners = self._world.runners if self._world else {}
        self._world = World(state, self._rules)
        self._world.runners.update(runners)

    def resume(self, work: Work) -> None:
        """The broker forgot everything: the collector publishes what it missed, and clients learn of their results.

        Orders that were lost come back by themselves: their runner does not list them."""
        results.tell_again(self.world, work)

    def handle(self, event: Received, work: Work) -> None:
        world = self.world
        match event.payload:
            case e.SourceRevised() as payload:
                self._remember(work, payload)
            case e.SourceRemoved() as payload:
                world.atlas.forget(work, payload.source)
            case e.RequestAccepted() as payload:
                self._accept(work, [payload])
            case e.RequestRejected() as payload:
                admission.rejected(world, work, payload, self._objects_url)
            case e.BuildCancelRequested() as payload:
                admission.cancel(world, work, payload)
            case e.RunnerSeen() as payload:
                dispatch.hear(world, work, payload, self._policy, self._lease)
            case e.RunnerDraining() as payload:
                dispatch.drain(world, work, payload)
            case e.AttemptClaimed() as payload:
                shared_queue.claimed(world, work, payload, self._lease)
            case e.AttemptStarted() as payload:
                results.started(world, work, payload)
            case e.AttemptFinished() as payload:
                results.ended(world, work, payload, self._policy)
            case e.RepositoryPublished() as payload:
                results.published(world, work, payload)
            case e.PublishFailed() as payload:
                results.not_published(world, work, payload)

    def tick(self, work: Work) -> None:
        self._listen(work)
        if self._listening_since is not None:
            if work.caught_up:
                self._accept(work, self.world.early.overdue(work, self._listening_since), waited=True)
                dispatch.check_leases(self.world, work, self._policy, self._lease, self._listening_since)
            shared_queue.lapse(self.world, work, self._lease)
            dispatch.hand_out(self.world, work, self._lease, shared=self._shared)
            if work.now - self._listening_since > self._lease:
                self._blocked.tell(self.world, work)
        deadline.check(self.world, work)
        results.finish_requests(self.world, work, self._objects_url)
        self._retention.forget(self.world, work)
        self._usage.keep(self.world.order, work)

    def _remember(self, work: Work, part: e.SourceRevised) -> None:
        world = self.world
        world.forget_offers(work, part.source, world.atlas.remember(work, part))
        if part.part == part.parts - 1:
            self._accept(work, world.early.take(work, part.source, part.revision))

    def _accept(self, work: Work, requests: Iterable[e.RequestAccepted], *, waited: bool = False) -> None:
        for request in requests:
            admission.accept(self.world, work, request, self._objects_url, self._rounds, waited=waited)

    def _listen(self, work: Work) -> None:
        """We listen from when all that happened before us is handled until the broker goes away: what was not heard
        outside of that is nobody's silence."""
        if work.now - work.broker_seen > self._lease / 4:
            self._listening_since = None
        elif self._listening_since is None and work.caught_up:
            self._listening_since = work.now

    def patience(self) -> float:
        """Retries and leases are counted in seconds; half of one is soon enough."""
        return 0.5

    def stop(self, work: Work) -> None:
        """The state is in the documents but for what was used in the last seconds."""
        self._usage.keep(self.world.order, work, now=True)
