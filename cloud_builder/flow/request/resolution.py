"""Queries about a source and their results. Values only; `resolver.py` answers the queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.ids import Digest, Revision, SourceName, UnitPath
from cloud_builder.model.rebuild import DEFAULT_SUFFIX
from cloud_builder.model.unit import DeletedUnit, UnitChange

from .discover import DiscoveredUnits
from .entries import BranchHead, FollowedSource, PendingRequest

MAX_NEWER_COMMITS = 5000
"""Newer commits that an acceptance lists, some 15 bytes each."""
Comparison = tuple[str, str]
"""A ref, and the ref that its units are compared with."""


@dataclass(frozen=True)
class ResolveQuery:
    """A query about one source: the head of its followed branch, and the refs that pending requests name.

    branch                   the followed branch; empty: the default branch of the repository
    refs                     refs that requests name; an empty ref: the followed branch
    requested_at             a request that was received later needs a newer result: a push may lie in between
    initial_default_branch   the default branch when the source was first read. It is followed as long as it exists:
                             checking out another branch in a repository is no reason to follow that one.
    comparisons              of the requests that name a commit to compare with
    rebuild_suffix           of the source; a commit is announced again when it changes
    announced_revision       the head that was announced last; the result lists the changes since then
    """

    source: SourceName
    url: str
    branch: str
    refs: tuple[str, ...] = ()
    requested_at: float = 0.0
    initial_default_branch: str = ""
    comparisons: tuple[Comparison, ...] = ()
    announced_revision: Revision | None = None
    rebuild_suffix: str = DEFAULT_SUFFIX


@dataclass(frozen=True)
class ResolvedCommit:
    """A commit and its units.

    is_on_branch   the followed branch contains it
    newer          the commits of the followed branch that are newer than it, at most MAX_NEWER_COMMITS + 1
    """

    revision: Revision
    discovered: DiscoveredUnits
    digest: Digest
    is_on_branch: bool
    newer: tuple[Revision, ...] = ()


@dataclass(frozen=True)
class ResolveResult:
    """The result of a query. The head and each ref are resolved or have an error of their own.

    error     the repository could not be read; nothing else is set
    branch    the followed branch, by name
    changed   the units that differ, for each comparison
    deleted   the units that a commit no longer has, for each comparison
    changes   the changes of the head since the query's `announced_revision`; None: not known, or not queried
    deleted_by_push   the units that the head no longer has since then
    """

    query: ResolveQuery
    error: CloudBuilderError | None = None
    branch: str = ""
    head: ResolvedCommit | CloudBuilderError | None = None
    refs: Mapping[str, ResolvedCommit | CloudBuilderError] = field(default_factory=dict)
    changed: Mapping[Comparison, tuple[UnitPath, ...] | CloudBuilderError] = field(default_factory=dict)
    deleted: Mapping[Comparison, tuple[DeletedUnit, ...]] = field(default_factory=dict)
    changes: tuple[UnitChange, ...] | None = None
    deleted_by_push: tuple[DeletedUnit, ...] = ()

    def resolved_for(self, pending: PendingRequest) -> ResolvedCommit | CloudBuilderError | None:
        """Returns the commit for a pending request, or its error; None: the query did not include the request."""
        comparison = pending.comparison
        ref, since = comparison
        if ref not in self.query.refs or pending.retry_at > self.query.requested_at:
            return None
        if since and comparison not in self.query.comparisons:
            return None
        changed = self.changed.get(comparison)
        return self.error or (changed if isinstance(changed, CloudBuilderError) else self.refs.get(ref))


def build_query(
    name: SourceName, source: FollowedSource, head: BranchHead | None, ready: Sequence[PendingRequest], now: float
) -> ResolveQuery:
    """Returns the query about a source. `head`: as stored; `ready`: the pending requests that it shall answer."""
    if head is not None and head.url != source.url:
        head = None
    return ResolveQuery(
        name,
        source.url,
        source.branch,
        refs=tuple(dict.fromkeys(pending.ref for pending in ready)),
        requested_at=now,
        initial_default_branch=head.branch if head is not None and not head.followed else "",
        comparisons=tuple(dict.fromkeys(pending.comparison for pending in ready if pending.comparison[1])),
        announced_revision=head.revision if head is not None else None,
        rebuild_suffix=source.rebuild_suffix,
    )
