"""Every event that travels between the daemons, as its JSON body.

Each class names its wire type (`job.assigned`) and version. Readers ignore unknown fields; a breaking change is a new
version beside the old one. Times are seconds since the epoch (float, UTC). Who writes an event, where, and by which
key: `cloud_builder/model/topics.py`.

One file a subject; this page lists them all.
"""

from .assignment import JobAssigned, JobRevoked, RunnerQuarantined
from .dead_letter import MessageDead
from .hold import Hold, HoldKind
from .intake import RequestAccepted, RequestRejected, SourceRemoved, SourceRevised, SourceTroubled
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
