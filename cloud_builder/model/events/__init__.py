"""The events that travel between the daemons: one class for the JSON body of each.

A class names its type on the wire (`job.assigned`) and its version. Readers ignore unknown fields; a breaking change is
a new version beside the old one. Times are seconds since the epoch (float, UTC). `cloud_builder/model/topics.py` has
the writer, topic, key and readers of each event. `schemas/` and doc/reference/events.md contain the docstrings.

assignment    what runners are to do (cb.assignment), runners in quarantine (cb.eligibility)
dead_letter   messages that could not be read or handled (cb.dead-letter)
hold          what keeps a queued job from being dispatched (in job.queued)
intake        sources, accepted and rejected requests (cb.intake)
job           states of jobs (cb.job), the scheduler's changelog (cb.state)
payload       the base class
plan          what a request would do (cb.plan)
query         queries and answers of cb-info (cb.query, cb.answer)
queue         offers and claims on shared queues (cb.queue.*)
repository    what was published (cb.repository)
request       requests of people and CI jobs (cb.request)
result        ends of requests (cb.result)
runner        heartbeats (cb.runner), attempts (cb.attempt), live logs (cb.log)
"""

from .assignment import JobAssigned, JobRevoked, RunnerQuarantined
from .dead_letter import MessageDead
from .hold import Hold, HoldKind
from .intake import NEWER_DIGITS, RequestAccepted, RequestRejected, SourceRemoved, SourceRevised, SourceTroubled
from .job import JobBlocked, JobEvent, JobFinished, JobQueued, JobRunning, StateChanged
from .payload import REQUEST_ID, Payload
from .plan import PlanDrawn, PlannedJob, PlanTotals, PlanVerdict
from .query import InfoAnswered, InfoAsked
from .queue import AttemptClaimed, ClaimRefused, JobOffered
from .repository import PublishFailed, RepositoryPublished
from .request import BuildCancelRequested, BuildRequested, SourceAddRequested, SourceRemoveRequested
from .result import JobResult, RepositoryState, RequestFinished, Summary
from .runner import AttemptFinished, AttemptStarted, LogAppended, RunnerDraining, RunnerSeen, RunningAttempt

__all__ = [
    "NEWER_DIGITS",
    "REQUEST_ID",
    "AttemptClaimed",
    "AttemptFinished",
    "AttemptStarted",
    "BuildCancelRequested",
    "BuildRequested",
    "ClaimRefused",
    "Hold",
    "HoldKind",
    "InfoAnswered",
    "InfoAsked",
    "JobAssigned",
    "JobBlocked",
    "JobEvent",
    "JobFinished",
    "JobOffered",
    "JobQueued",
    "JobResult",
    "JobRevoked",
    "JobRunning",
    "LogAppended",
    "MessageDead",
    "Payload",
    "PlanDrawn",
    "PlanTotals",
    "PlanVerdict",
    "PlannedJob",
    "PublishFailed",
    "RepositoryPublished",
    "RepositoryState",
    "RequestAccepted",
    "RequestFinished",
    "RequestRejected",
    "RunnerDraining",
    "RunnerQuarantined",
    "RunnerSeen",
    "RunningAttempt",
    "SourceAddRequested",
    "SourceRemoveRequested",
    "SourceRemoved",
    "SourceRevised",
    "SourceTroubled",
    "StateChanged",
    "Summary",
]
