"""The documents of cb-request's store, and the changes that a decision makes to them. Values only.

FollowedSource    a source that is followed
BranchHead        the head of its followed branch, as announced
AnnouncedCommit   the commit of the source that was announced last
PendingRequest    a request that waits for git
RequestEntry      a request that was received, by its id
SourceEntries     all entries that a resolve result of one source concerns
StoreChanges      the changes that a decision makes to these entries
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cloud_builder.model.events import BuildRequested, RequestAccepted
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import Digest, RequestId, Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.rebuild import DEFAULT_SUFFIX


class FollowedSource(LenientModel):
    """A source. `branch` empty: its default branch."""

    url: str
    branch: str = ""
    rebuild_suffix: str = DEFAULT_SUFFIX


class BranchHead(LenientModel):
    """The head of the followed branch, as announced.

    Without a `revision`: the repository had no such branch yet, so its first commit is a push.

    followed       the branch that the source names; empty: the default branch, which may get another name
    trees          the content of each unit
    broken         the units that could not be read
    is_announced   False: the broker has lost the announcement, so it is made again
    """

    url: str
    followed: str = ""
    branch: str = ""
    revision: Revision | None = None
    digest: Digest | None = None
    trees: dict[UnitPath, TreeId] = {}
    broken: frozenset[UnitPath] = frozenset()
    is_announced: bool = True


class AnnouncedCommit(LenientModel):
    """The commit of a source that was announced last. Readers keep one commit a source."""

    branch: str
    revision: Revision
    digest: Digest
    followed: bool


class PendingRequest(LenientModel):
    """A request that waits for git.

    retry_at   seconds since the epoch; git is not queried earlier
    tries      how often a temporary error has postponed it
    request    the event that was received
    accepted   instead of `request`: the answer that was given to an earlier incarnation of the broker. It is emitted
               again unchanged, after its commit was announced again.
    """

    request_id: RequestId
    source: SourceName
    ref: str
    received_at: float
    retry_at: float
    tries: int = 0
    request: BuildRequested | None = None
    accepted: RequestAccepted | None = None

    @property
    def comparison(self) -> tuple[str, str]:
        """The ref, and the ref that its units are compared with (empty: none)."""
        return self.ref, self.request.since if self.request is not None else ""


class RequestStatus(StrEnum):
    """The progress of a request."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FINISHED = "finished"


class RequestEntry(LenientModel):
    """A request by its id. `request` is None for a push; `at`: when the entry was last written."""

    status: RequestStatus
    at: float
    request: BuildRequested | None = None
    accepted: RequestAccepted | None = None


def push_request_id(source: SourceName, revision: Revision, number: int) -> RequestId:
    """Returns the request id of a push. `number`: how often this commit was pushed before (by forced pushes)."""
    suffix = f"-{number}" if number else ""
    return RequestId(f"push-{source.replace('+', '_')}-{revision[:10]}{suffix}")


@dataclass(frozen=True)
class SourceEntries:
    """The stored entries that a resolve result of one source concerns.

    error      the source's last error, as it was reported; empty: none
    pending    in the order in which the requests were received
    repeated   the events first received, of the pending requests that are only emitted again
    push_id    an unused request id, if the resolved head is a push
    """

    head: BranchHead | None = None
    announced: AnnouncedCommit | None = None
    error: str = ""
    pending: tuple[PendingRequest, ...] = ()
    repeated: Mapping[RequestId, BuildRequested] = field(default_factory=dict)
    push_id: RequestId | None = None


@dataclass(frozen=True)
class StoreChanges:
    """The changes that a decision about one source makes to the store. None: the entry stays as it is.

    requests    entries of the requests that were answered; these are no longer pending
    postponed   pending requests with a later `retry_at`
    """

    source: SourceName
    head: BranchHead | None = None
    announced: AnnouncedCommit | None = None
    error: str | None = None
    requests: Mapping[RequestId, RequestEntry] = field(default_factory=dict)
    postponed: tuple[PendingRequest, ...] = ()
