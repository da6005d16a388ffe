"""The table of events: type → topic, key, writer and readers.

ACLs, the AsyncAPI document, the script that creates topics and doc/reference/events.md are generated from it. Each
topic has one writing role. Events with the same key stay in order.
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
    """A Kafka topic, or a family of them: the name of a family ends in `.*`, its members are made when they are needed.

    name               the topic, or the family
    writer             the role that writes it
    partitions         of the topic, or of each member
    compacted          Kafka keeps the newest record of each key
    retention          seconds; 0: for ever (compacted topics only)
    states             see `carries_states`
    retention_bytes    the most bytes of a partition, give or take a segment; 0: no limit
    max_message_bytes  the largest message; the default of brokers is 1 MB
    """

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
        """True if an event replaces earlier ones with the same key. A transaction sends only the last of them."""
        return self.states or self.compacted

    @property
    def is_family(self) -> bool:
        return self.name.endswith(".*")

    @property
    def prefix(self) -> str:
        """The beginning of the name of each member of a family."""
        return self.name.removesuffix("*")

    def member(self, name: str) -> Topic:
        """Returns a topic of this family. `name`: without the prefix."""
        return replace(self, name=f"{self.prefix}{name}")

    def has(self, topic: str) -> bool:
        """Returns whether `topic` is the name of this topic, or of a member of this family."""
        return topic.startswith(self.prefix) if self.is_family else topic == self.name


@dataclass(frozen=True)
class Route:
    """The topic, key and readers of an event type.

    key      the field whose value is the record's key
    member   if the topic is a family: the field that names the member
    """

    event: type[e.Payload]
    topic: Topic
    key: str
    readers: frozenset[Role]
    member: str = ""

    def topic_of(self, payload: e.Payload) -> str:
        """Returns the name of the topic of this event."""
        return self.topic.member(getattr(payload, self.member)).name if self.member else self.topic.name


REQUEST_TOPIC = Topic("cb.request", CLIENT)
INTAKE = Topic("cb.intake", REQUEST)
ASSIGNMENT = Topic("cb.assignment", SCHEDULER, partitions=32, retention=86400.0)
"""A runner reads only the partition of its id, and not the assignments of a thousand others."""
ELIGIBILITY = Topic("cb.eligibility", SCHEDULER, compacted=True, retention=0.0)
"""Which runners are in quarantine: the newest event of each runner that ever was."""
QUEUE = Topic("cb.queue.*", SCHEDULER, retention=3600.0)
"""One topic for each pool of runners, read through a share group. It has one partition: offers stay in order."""
SHARE_GROUP = "cb.queue"
"""The share group of all runners."""
SHARE_GROUP_SETTINGS = {"share.auto.offset.reset": "earliest", "share.record.lock.duration.ms": "30000"}
"""Offers that were sent before the first runner started are taken. An offer that a runner has taken and lost comes back
after 30 seconds."""
READER_GROUP = "cloud-builder"
"""The consumer group that librdkafka requires. No daemon joins it or stores offsets in it; the library only looks up
its coordinator."""
JOB = Topic("cb.job", SCHEDULER, states=True)
RESULT = Topic("cb.result", SCHEDULER, compacted=True)
PLAN = Topic("cb.plan", SCHEDULER, retention=3600.0)
STATE = Topic("cb.state", SCHEDULER, compacted=True, retention=0.0)
TRANSACTIONAL_ID = "cb-scheduler"
"""The transactional id of the scheduler that leads. Kafka fences the earlier owner of the id."""
RUNNERS = Topic("cb.runner", RUNNER, compacted=True, retention=86400.0)
ATTEMPT = Topic("cb.attempt", RUNNER)
LOG = Topic("cb.log", RUNNER, retention=86400.0, retention_bytes=1024 * MIB)
REPOSITORY = Topic("cb.repository", COLLECTOR)
QUERY = Topic("cb.query", CLIENT, retention=3600.0)
ANSWER = Topic("cb.answer", INFO, retention=3600.0)
DEAD_LETTER = Topic("cb.dead-letter", CLIENT, retention=30 * 86400.0, max_message_bytes=16 * MIB)
"""Every daemon writes it: the only topic with several writing roles."""


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
"""Topic → the event that a record without CloudEvents headers is read as: CI jobs send plain JSON to cb.request."""

_BY_TYPE = {route.event.type: route for route in ROUTES}


def route_of(event_type: str) -> Route | None:
    return _BY_TYPE.get(event_type)


def topics_read_by(role: Role) -> tuple[Topic, ...]:
    """Returns the topics and families that a role reads."""
    return tuple(dict.fromkeys(route.topic for route in ROUTES if role in route.readers))
