"""The one table of what travels where: event type → topic, key, writer, readers.

ACLs, the AsyncAPI document, the topic set-up and the picture in the docs are generated from it. Each topic has one
writing role. Keys keep the events of one thing in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import events as e
from .limits import MIB
from .role import Role

CLIENT, REQUEST, SCHEDULER = Role.CLIENT, Role.REQUEST, Role.SCHEDULER
RUNNER, COLLECTOR, INFO = Role.RUNNER, Role.COLLECTOR, Role.INFO


@dataclass(frozen=True)
class Topic:
    """A Kafka topic, or a family of them: `name` ends in `.*`, and each member is made when it is first needed.

    `retention`: seconds, 0 for ever (compacted topics only). `room`: bytes that a partition keeps at most, give or take
    a segment; 0: any number. `largest`: bytes of a message; brokers have 1 MB unless they are told.

    `carries_states`: its events say where a thing stands, so of several that one transaction has on the same key only
    the last is sent."""

    name: str
    writer: Role
    partitions: int = 1
    compacted: bool = False
    retention: float = 7 * 86400.0
    states: bool = False
    retention_bytes: int = 0
    max_message_bytes: int = 8 * MIB

    @property
    def carries_states(self) -> bool:
        return self.states or self.compacted

    @property
    def is_family(self) -> bool:
        return self.name.endswith(".*")

    @property
    def prefix(self) -> str:
        """What the name of each member of a family begins with."""
        return self.name.removesuffix("*")

    def member(self, name: str) -> Topic:
        """The topic of this family that `name` (without the prefix) names."""
        return replace(self, name=f"{self.prefix}{name}")

    def has(self, topic: str) -> bool:
        """Whether this is that topic's name, or that of the family it belongs to."""
        return topic.startswith(self.prefix) if self.is_family else topic == self.name


@dataclass(frozen=True)
class Route:
    """Where one event type travels. `key` is the field whose value is the record's key; `member` the one that names
    the topic when that is a family."""

    event: type[e.Payload]
    topic: Topic
    key: str
    readers: frozenset[Role]
    member: str = ""

    def topic_of(self, payload: e.Payload) -> str:
        """The name of the topic that this event goes to."""
        return self.topic.member(getattr(payload, self.member)).name if self.member else self.topic.name


REQUEST_TOPIC = Topic("cb.request", CLIENT)
INTAKE = Topic("cb.intake", REQUEST)
ASSIGNMENT = Topic("cb.assignment", SCHEDULER, partitions=32, retention=86400.0)
"""A runner reads only the partition that its name falls into: orders for a thousand others pass it by."""
ELIGIBILITY = Topic("cb.eligibility", SCHEDULER, compacted=True, retention=0.0)
"""Which runners are in quarantine: the newest event of each runner that ever was."""
QUEUE = Topic("cb.queue.*", SCHEDULER, retention=3600.0)
"""Each pool of runners has one, read through a share group; one partition, so that offers come in their order."""
SHARE_GROUP = "cb.queue"
"""The share group of all runners."""
SHARE_GROUP_SETTINGS = {"share.auto.offset.reset": "earliest", "share.record.lock.duration.ms": "30000"}
"""What is offered before the first runner comes is taken; what a runner took and lost comes back in half a minute."""
READER_GROUP = "cloud-builder"
"""What librdkafka wants a reader to belong to. No daemon joins it or keeps offsets there; the library only asks which
broker would coordinate it."""
JOB = Topic("cb.job", SCHEDULER, states=True)
RESULT = Topic("cb.result", SCHEDULER, compacted=True)
PLAN = Topic("cb.plan", SCHEDULER, retention=3600.0)
STATE = Topic("cb.state", SCHEDULER, compacted=True, retention=0.0)
TRANSACTIONAL_ID = "cb-scheduler"
"""Kafka's name for whoever writes cb.state, where several schedulers take turns."""
RUNNERS = Topic("cb.runner", RUNNER, compacted=True, retention=86400.0)
ATTEMPT = Topic("cb.attempt", RUNNER)
LOG = Topic("cb.log", RUNNER, retention=86400.0, retention_bytes=1024 * MIB)
REPOSITORY = Topic("cb.repository", COLLECTOR)
QUERY = Topic("cb.query", CLIENT, retention=3600.0)
ANSWER = Topic("cb.answer", INFO, retention=3600.0)
DEAD_LETTER = Topic("cb.dead-letter", CLIENT, retention=30 * 86400.0, max_message_bytes=16 * MIB)
"""Written by every daemon: the one topic with more than one writing role."""


def _route(event: type[e.Payload], topic: Topic, key: str, *readers: Role, member: str = "") -> Route:
    return Route(event, topic, key, frozenset(readers), member)


ROUTES: tuple[Route, ...] = (
    _route(e.BuildRequested, REQUEST_TOPIC, "request_id", REQUEST),
    _route(e.BuildCancelRequested, REQUEST_TOPIC, "request_id", SCHEDULER),
    _route(e.SourceAddRequested, REQUEST_TOPIC, "source", REQUEST),
    _route(e.SourceRemoveRequested, REQUEST_TOPIC, "source", REQUEST),
    _route(e.SourceRevised, INTAKE, "source", SCHEDULER, COLLECTOR, INFO),
    _route(e.SourceTroubled, INTAKE, "source", INFO),
    _route(e.SourceRemoved, INTAKE, "source", SCHEDULER, INFO),
    _route(e.RequestAccepted, INTAKE, "source", SCHEDULER, INFO),
    _route(e.RequestRejected, INTAKE, "source", SCHEDULER, INFO),
    _route(e.JobAssigned, ASSIGNMENT, "runner_id", RUNNER),
    _route(e.JobRevoked, ASSIGNMENT, "runner_id", RUNNER),
    _route(e.ClaimRefused, ASSIGNMENT, "runner_id", RUNNER),
    _route(e.RunnerQuarantined, ELIGIBILITY, "runner_id", RUNNER, INFO),
    _route(e.JobOffered, QUEUE, "job_id", RUNNER, member="queue"),
    _route(e.JobBlocked, JOB, "job_id", INFO),
    _route(e.JobQueued, JOB, "job_id", INFO),
    _route(e.JobRunning, JOB, "job_id", INFO),
    _route(e.JobFinished, JOB, "job_id", COLLECTOR, INFO),
    _route(e.RequestFinished, RESULT, "request_id", CLIENT, REQUEST, INFO),
    _route(e.PlanDrawn, PLAN, "request_id", CLIENT),
    _route(e.StateChanged, STATE, "entity_id", SCHEDULER),
    _route(e.RunnerSeen, RUNNERS, "runner_id", SCHEDULER, INFO),
    _route(e.RunnerDraining, RUNNERS, "runner_id", SCHEDULER, INFO),
    _route(e.AttemptClaimed, ATTEMPT, "job_id", SCHEDULER),
    _route(e.AttemptStarted, ATTEMPT, "job_id", SCHEDULER, INFO),
    _route(e.AttemptFinished, ATTEMPT, "job_id", SCHEDULER, INFO),
    _route(e.LogAppended, LOG, "job_id", INFO),
    _route(e.RepositoryPublished, REPOSITORY, "repository", SCHEDULER, INFO),
    _route(e.PublishFailed, REPOSITORY, "repository", SCHEDULER, INFO),
    _route(e.InfoAsked, QUERY, "query_id", INFO),
    _route(e.InfoAnswered, ANSWER, "query_id", CLIENT),
    _route(e.MessageDead, DEAD_LETTER, "dead_id", CLIENT, INFO),
)

TOPICS: tuple[Topic, ...] = tuple(dict.fromkeys(route.topic for route in ROUTES if not route.topic.is_family))
FAMILIES: tuple[Topic, ...] = tuple(dict.fromkeys(route.topic for route in ROUTES if route.topic.is_family))

BARE_EVENT: dict[str, type[e.Payload]] = {REQUEST_TOPIC.name: e.BuildRequested}
"""What a record without CloudEvents headers is taken for: CI jobs send plain JSON to cb.request."""

_BY_TYPE = {route.event.type: route for route in ROUTES}


def route_of(event_type: str) -> Route | None:
    return _BY_TYPE.get(event_type)


def topics_read_by(role: Role) -> tuple[Topic, ...]:
    """Topics, and families of topics."""
    return tuple(dict.fromkeys(route.topic for route in ROUTES if role in route.readers))
