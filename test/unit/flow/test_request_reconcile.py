"""Tests of decisions about resolve results: a table of results and stored entries, without git, store or clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from cloud_builder.errors import CloudBuilderError, Rejected, Retryable
from cloud_builder.flow.request.discover import DiscoveredUnits
from cloud_builder.flow.request.entries import (
    AnnouncedCommit,
    BranchHead,
    PendingRequest,
    RequestStatus,
    SourceEntries,
    push_request_id,
)
from cloud_builder.flow.request.reconcile import Decision, reconcile, rejection
from cloud_builder.flow.request.resolution import ResolvedCommit, ResolveQuery, ResolveResult
from cloud_builder.flow.request.retries import SOURCE_TIMEOUT
from cloud_builder.model.events import BuildRequested, RequestAccepted, RequestRejected, SourceRevised, SourceTroubled
from cloud_builder.model.ids import Digest, RequestId, Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.outcome import Kind
from cloud_builder.model.unit import Unit, UnitChange

NOW = 1000.0
DEMO = SourceName("demo")
URL = "memory:demo"
OLD, NEW, OTHER = Revision("a" * 40), Revision("b" * 40), Revision("c" * 40)


def commit(revision: Revision, **trees: str) -> ResolvedCommit:
    """Returns a commit with a unit for each name. `trees`: name → git tree."""
    units = tuple(
        Unit(path=UnitPath(name), directory=name, name=name, kind=Kind.PACKAGE, tree=TreeId(tree), targets=())
        for name, tree in (trees or {"hello": "1"}).items()
    )
    discovered = DiscoveredUnits(units, ())
    return ResolvedCommit(revision, discovered, discovered.digest(), is_on_branch=True)


def head(of: ResolvedCommit, **changes: object) -> BranchHead:
    trees = {unit.path: unit.tree for unit in of.discovered.units}
    stored = BranchHead(url=URL, branch="main", revision=of.revision, digest=of.digest, trees=trees)
    return stored.model_copy(update=changes)


def announced(of: ResolvedCommit, *, followed: bool = True) -> AnnouncedCommit:
    return AnnouncedCommit(branch="main", revision=of.revision, digest=of.digest, followed=followed)


def pending(number: int = 1, *, ref: str = "", units: tuple[str, ...] = ("hello",), **fields: object) -> PendingRequest:
    request_id = RequestId(f"r-{number}")
    request = BuildRequested(source=DEMO, units=units, ref=ref or "HEAD", request_id=request_id, requester="me")
    request_entry = PendingRequest(
        request_id=request_id, source=DEMO, ref=ref, received_at=NOW, retry_at=NOW, request=request
    )
    return request_entry.model_copy(update=fields)


def resolved(
    to: ResolvedCommit | CloudBuilderError,
    refs: dict[str, ResolvedCommit | CloudBuilderError] | None = None,
    **fields: object,
) -> ResolveResult:
    """Returns the result of a query at `NOW` for the followed branch and these refs."""
    refs = {"": to, **(refs or {})}
    query = ResolveQuery(DEMO, URL, "main", tuple(refs), NOW, announced_revision=OLD)
    return replace(ResolveResult(query, branch="main", head=to, refs=refs), **fields)  # type: ignore[arg-type]


def unnamed(result: ResolveResult) -> ResolveResult:
    """Returns the result for a source that follows its default branch."""
    return replace(result, query=replace(result.query, branch=""))


FIRST, PUSHED = commit(OLD), commit(NEW, hello="2")
STORED = SourceEntries(head=head(FIRST), announced=announced(FIRST), push_id=push_request_id(DEMO, NEW, 0))
NO_COMMIT = Rejected("no commits yet", code="no-commits")
EMPTY = BranchHead(url=URL)
UNREACHABLE = Retryable("the source does not answer", code="source-unreachable")


@dataclass(frozen=True)
class Case:
    """A result, the stored entries, and the expected decision: types of events, and changes of the entries."""

    result: ResolveResult
    stored: SourceEntries
    events: list[type] = field(default_factory=list)
    head: Revision | None = None
    announced: Revision | None = None
    error: str | None = None
    requests: dict[str, RequestStatus] = field(default_factory=dict)
    postponed: tuple[str, ...] = ()
    is_empty_push: bool = False


ACCEPTED, REJECTED = RequestStatus.ACCEPTED, RequestStatus.REJECTED
CASES = {
    "nothing is new": Case(resolved(FIRST), STORED),
    "first commit of a source": Case(resolved(FIRST), SourceEntries(), [SourceRevised], OLD, OLD),
    "push that changes a unit": Case(
        resolved(PUSHED), STORED, [SourceRevised, RequestAccepted], NEW, NEW, requests={str(STORED.push_id): ACCEPTED}
    ),
    "push that changes no unit": Case(resolved(commit(NEW)), STORED, [SourceRevised], NEW, NEW, is_empty_push=True),
    "other state of package repositories": Case(
        resolved(replace(FIRST, digest=Digest("other"))), STORED, [SourceRevised], OLD, OLD
    ),
    "repository without a commit": Case(
        unnamed(resolved(NO_COMMIT, branch="")), SourceEntries(), [SourceTroubled], error="no commits yet"
    ),
    "first commit of an empty repository": Case(
        unnamed(resolved(PUSHED)),
        SourceEntries(head=EMPTY, push_id=STORED.push_id),
        [SourceRevised, RequestAccepted],
        NEW,
        NEW,
        requests={str(STORED.push_id): ACCEPTED},
    ),
    "first commit of a branch that was missing": Case(
        resolved(PUSHED),
        SourceEntries(head=BranchHead(url=URL, followed="main"), push_id=STORED.push_id),
        [SourceRevised, RequestAccepted],
        NEW,
        NEW,
        requests={str(STORED.push_id): ACCEPTED},
    ),
    "first commit after a missing branch was named": Case(
        resolved(PUSHED), SourceEntries(head=BranchHead(url=URL, followed="mian")), [SourceRevised], NEW, NEW
    ),
    "default branch is renamed, with a push": Case(
        unnamed(resolved(PUSHED, branch="trunk")),
        STORED,
        [SourceRevised, RequestAccepted],
        NEW,
        NEW,
        requests={str(STORED.push_id): ACCEPTED},
    ),
    "default branch is renamed": Case(unnamed(resolved(FIRST, branch="trunk")), STORED, [SourceRevised], OLD, OLD),
    "default branch is followed instead of a named one": Case(
        unnamed(resolved(PUSHED, branch="trunk")),
        replace(STORED, head=head(FIRST, followed="main")),
        [SourceRevised],
        NEW,
        NEW,
    ),
    "another branch is followed": Case(resolved(PUSHED, branch="next"), STORED, [SourceRevised], NEW, NEW),
    "another URL is followed": Case(
        resolved(PUSHED), replace(STORED, head=head(FIRST, url="memory:else")), [SourceRevised], NEW, NEW
    ),
    "broker has lost the announcement": Case(
        resolved(FIRST), SourceEntries(head=head(FIRST, is_announced=False)), [SourceRevised], OLD, OLD
    ),
    "broker has lost the announcement, and a push": Case(
        resolved(PUSHED),
        SourceEntries(head=head(FIRST, is_announced=False), push_id=STORED.push_id),
        [SourceRevised, RequestAccepted],
        NEW,
        NEW,
        requests={str(STORED.push_id): ACCEPTED},
    ),
    "error of the repository": Case(
        resolved(UNREACHABLE, error=UNREACHABLE), STORED, [SourceTroubled], error="the source does not answer"
    ),
    "error of the branch": Case(resolved(Rejected("no branch")), STORED, [SourceTroubled], error="no branch"),
    "the same error again": Case(resolved(Rejected("no branch")), replace(STORED, error="no branch")),
    "error is gone": Case(resolved(FIRST), replace(STORED, error="no branch"), [SourceTroubled], error=""),
    "request of the announced commit": Case(
        resolved(FIRST), replace(STORED, pending=(pending(),)), [RequestAccepted], requests={"r-1": ACCEPTED}
    ),
    "request of another commit": Case(
        resolved(FIRST, {"v1": PUSHED}),
        replace(STORED, pending=(pending(ref="v1"),)),
        [SourceRevised, RequestAccepted],
        announced=NEW,
        requests={"r-1": ACCEPTED},
    ),
    "requests of three commits": Case(
        resolved(FIRST, {"v1": PUSHED, "v2": commit(OTHER)}),
        replace(STORED, pending=(pending(1, ref="v1"), pending(2), pending(3, ref="v2"))),
        [SourceRevised, RequestAccepted] * 3,
        announced=OTHER,
        requests={"r-1": ACCEPTED, "r-2": ACCEPTED, "r-3": ACCEPTED},
    ),
    "request that comes with a push": Case(
        resolved(PUSHED),
        replace(STORED, pending=(pending(),)),
        [SourceRevised, RequestAccepted, RequestAccepted],
        NEW,
        NEW,
        requests={str(STORED.push_id): ACCEPTED, "r-1": ACCEPTED},
    ),
    "request of an unknown unit": Case(
        resolved(FIRST),
        replace(STORED, pending=(pending(units=("helo",)),)),
        [RequestRejected],
        requests={"r-1": REJECTED},
    ),
    "request of an unknown ref": Case(
        resolved(FIRST, {"v1": Rejected("no ref")}),
        replace(STORED, pending=(pending(ref="v1"),)),
        [RequestRejected],
        requests={"r-1": REJECTED},
    ),
    "request received after the query": Case(resolved(FIRST), replace(STORED, pending=(pending(retry_at=NOW + 1),))),
    "request whose ref was not queried": Case(resolved(FIRST), replace(STORED, pending=(pending(ref="v1"),))),
    "temporary error": Case(
        resolved(UNREACHABLE, error=UNREACHABLE),
        replace(STORED, error=UNREACHABLE.message, pending=(pending(),)),
        postponed=("r-1",),
    ),
    "temporary error for too long": Case(
        resolved(UNREACHABLE, error=UNREACHABLE),
        replace(STORED, error=UNREACHABLE.message, pending=(pending(received_at=NOW - SOURCE_TIMEOUT),)),
        [RequestRejected],
        requests={"r-1": REJECTED},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_decision_matches_the_table(case: Case) -> None:
    decision = reconcile(case.result, case.stored, NOW, build_pushes=True)
    changes = decision.changes
    assert [type(event) for event in decision.events] == case.events
    assert (changes.head and changes.head.revision) == case.head
    assert (changes.announced and changes.announced.revision) == case.announced
    assert changes.error == case.error
    assert {id: entry.status for id, entry in changes.requests.items()} == case.requests
    assert tuple(postponed.request_id for postponed in changes.postponed) == case.postponed
    assert decision.is_empty_push is case.is_empty_push


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_decision_is_stable_once_it_is_stored(case: Case) -> None:
    """Decides about the same result after the changes were stored: no event is emitted again."""
    changes = reconcile(case.result, case.stored, NOW, build_pushes=True).changes
    answered = {*changes.requests, *(postponed.request_id for postponed in changes.postponed)}
    stored = replace(
        case.stored,
        head=changes.head or case.stored.head,
        announced=changes.announced or case.stored.announced,
        error=case.stored.error if changes.error is None else changes.error,
        pending=tuple(request for request in case.stored.pending if request.request_id not in answered),
    )
    assert reconcile(case.result, stored, NOW, build_pushes=True).events == ()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_accepted_request_follows_the_announcement_of_its_commit(case: Case) -> None:
    announced = case.stored.announced and case.stored.announced.revision
    for event in reconcile(case.result, case.stored, NOW, build_pushes=True).events:
        if isinstance(event, SourceRevised):
            announced = event.revision
        elif isinstance(event, RequestAccepted):
            assert event.revision == announced


def decide(result: ResolveResult, stored: SourceEntries, *, build_pushes: bool = True) -> Decision:
    return reconcile(result, stored, NOW, build_pushes=build_pushes)


def test_push_is_only_announced_when_pushes_are_not_built() -> None:
    decision = decide(resolved(PUSHED), STORED, build_pushes=False)
    assert [type(event) for event in decision.events] == [SourceRevised]


@pytest.mark.parametrize(("queried", "since"), [(OLD, OLD), (OTHER, None)])
def test_changes_are_announced_when_they_start_at_the_stored_head(queried: Revision, since: Revision | None) -> None:
    change = UnitChange(path=UnitPath("hello"), files=("x",), more=0)
    result = resolved(PUSHED, changes=(change,))
    revised = decide(replace(result, query=replace(result.query, announced_revision=queried)), STORED).events[0]
    assert isinstance(revised, SourceRevised)
    assert (revised.since, revised.changes) == (since, (change,) if since else ())


def test_repeated_answer_is_unchanged_and_keeps_the_request() -> None:
    first = decide(resolved(FIRST), replace(STORED, pending=(pending(),))).events[0]
    assert isinstance(first, RequestAccepted)
    again = pending(ref=OLD, request=None, accepted=first)
    request = pending().request
    assert request is not None
    stored = SourceEntries(head=head(FIRST, is_announced=False), pending=(again,), repeated={again.request_id: request})
    decision = decide(resolved(FIRST, {OLD: FIRST}), stored)
    assert decision.events[1:] == (first,)
    assert decision.changes.requests[again.request_id].request == request


def test_commit_off_the_branch_is_announced_as_not_followed() -> None:
    revised, accepted = decide(
        resolved(FIRST, {"topic": replace(PUSHED, is_on_branch=False)}),
        replace(STORED, pending=(pending(ref="topic"),)),
    ).events
    assert isinstance(revised, SourceRevised) and not revised.followed
    assert isinstance(accepted, RequestAccepted) and not accepted.publish


@pytest.mark.parametrize(("tries", "delay"), [(0, 1.0), (1, 2.0), (3, 8.0), (4, 10.0), (30, 10.0)])
def test_delay_doubles_with_each_temporary_error(tries: int, delay: float) -> None:
    stored = replace(STORED, pending=(pending(tries=tries),))
    (postponed,) = decide(resolved(UNREACHABLE, error=UNREACHABLE), stored).changes.postponed
    assert (postponed.retry_at, postponed.tries) == (NOW + delay, tries + 1)


def test_rejection_names_the_request_and_its_requester() -> None:
    decision = rejection(pending(ref="v1"), Rejected("no source", code="unknown-source"), NOW)
    (event,) = decision.events
    assert isinstance(event, RequestRejected)
    assert (event.request_id, event.ref, event.requester, event.code) == ("r-1", "v1", "me", "unknown-source")
    assert decision.changes.requests[RequestId("r-1")].status is REJECTED
