"""The one table of what travels where: event type → topic, key, writer, readers.

ACLs, the AsyncAPI document, the topic set-up and the picture in the docs are generated from it. Each topic has one
writing role. Keys keep the events of one thing in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import events as e
from .outcome import Role

CLIENT, REQUEST, SCHEDULER = Role.CLIENT, Role.REQUEST, Role.SCHEDULER
RUNNER, COLLECTOR, INFO = Role.RUNNER, Role.COLLECTOR, Role.INFO


@dataclass(frozen=True)
class Topic:
    """A Kafka topic. `retention`: seconds, 0 for ever (compacted topics only).

    `tells_states`: its events say where a thing stands, so of several that one transaction has on the same key only
    the last is sent."""

    name: str
    writer: Role
    partitions: int = 1
    compacted: bool = False
    retention: float = 7 * 86400.0
    states: bool = False

    @property
    def tells_states(self) -> bool:
        return self.states or self.compacted


@dataclass(frozen=True)
class Route:
    """Where one event type travels. `key` is the field whose value is the record's key."""

    event: type[e.Payload]
    topic: Topic
    key: str
    readers: frozenset[Role]


REQUEST_TOPIC = Topic("cb.request", CLIENT)
INTAKE = Topic("cb.intake", REQUEST)
ASSIGNMENT = Topic("cb.assignment", SCHEDULER, retention=86400.0)
JOB = Topic("cb.job", SCHEDULER, states=True)
RESULT = Topic("cb.result", SCHEDULER, compacted=True)
STATE = Topic("cb.state", SCHEDULER, compacted=True, retention=0.0)
RUNNERS = Topic("cb.runner", RUNNER, compacted=True, retention=86400.0)
ATTEMPT = Topic("cb.attempt", RUNNER)
LOG = Topic("cb.log", RUNNER, retention=86400.0)
REPOSITORY = Topic("cb.repository", COLLECTOR)
QUERY = Topic("cb.query", CLIENT, retention=3600.0)
ANSWER = Topic("cb.answer", INFO, retention=3600.0)
DEAD_LETTER = Topic("cb.dead-letter", CLIENT, retention=30 * 86400.0)
"""Written by every daemon: the one topic with more than one writing role."""


def _route(event: type[e.Payload], topic: Topic, key: str, *readers: Role) -> Route:
    return Route(event, topic, key, frozenset(readers))


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
    _route(e.JobBlocked, JOB, "job_id", INFO),
    _route(e.JobQueued, JOB, "job_id", INFO),
    _route(e.JobRunning, JOB, "job_id", INFO),
    _route(e.JobFinished, JOB, "job_id", COLLECTOR, INFO),
    _route(e.RequestFinished, RESULT, "request_id", CLIENT, REQUEST, INFO),
    _route(e.StateChanged, STATE, "entity_id", SCHEDULER),
    _route(e.RunnerSeen, RUNNERS, "runner_id", SCHEDULER, INFO),
    _route(e.RunnerDraining, RUNNERS, "runner_id", SCHEDULER, INFO),
    _route(e.AttemptStarted, ATTEMPT, "job_id", SCHEDULER, INFO),
    _route(e.AttemptFinished, ATTEMPT, "job_id", SCHEDULER, INFO),
    _route(e.LogAppended, LOG, "job_id", INFO),
    _route(e.RepositoryPublished, REPOSITORY, "repository", SCHEDULER, INFO),
    _route(e.PublishFailed, REPOSITORY, "repository", SCHEDULER, INFO),
    _route(e.InfoAsked, QUERY, "query_id", INFO),
    _route(e.InfoAnswered, ANSWER, "query_id", CLIENT),
    _route(e.MessageDead, DEAD_LETTER, "dead_id", CLIENT, INFO),
)

TOPICS: tuple[Topic, ...] = tuple(dict.fromkeys(route.topic for route in ROUTES))

BARE_EVENT: dict[str, type[e.Payload]] = {REQUEST_TOPIC.name: e.BuildRequested}
"""What a record without CloudEvents headers is taken for: CI jobs send plain JSON to cb.request."""

_BY_TYPE = {route.event.type: route for route in ROUTES}


def route_of(event_type: str) -> Route | None:
    return _BY_TYPE.get(event_type)


def topics_read_by(role: Role) -> tuple[Topic, ...]:
    return tuple(dict.fromkeys(route.topic for route in ROUTES if role in route.readers))
