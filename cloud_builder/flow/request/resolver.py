"""Asks git in threads of its own: one question a source at a time, answers collected by the flow's next tick.

A question refreshes the mirror, looks at the tip of the followed branch and at the refs that wishes name, and discovers
the units there. What was discovered at a commit is kept as long as the state of package repositories is believed.
It also says which files a push changed, and which units did after a commit that a wish names.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from cloud_builder.errors import Bug, CloudBuilderError, Rejected
from cloud_builder.model.ids import Digest, Revision, SourceName, UnitPath
from cloud_builder.model.unit import UnitChange
from cloud_builder.ports.source import SourceMirror

from .changes import changes_by_unit, summarize_changes
from .discover import DiscoveredUnits, UnitDiscovery
from .tree import CommitTree

_LOG = logging.getLogger("cb.request")
_SNAPSHOT_CACHE_SIZE = 16
_HEAD = re.compile(r"^HEAD(?=$|[~^])")

Comparison = tuple[str, str]
"""A ref, and one that its units are compared with."""


@dataclass(frozen=True)
class ResolveQuery:
    """`branch` empty: the repository's default as it was at first sight (`first_branch`), while that exists: checking
    out another branch in a repository is no reason to follow it. `refs`: what wishes name; empty: the followed branch.

    `asked_at`: wishes that came later need a newer answer, because of a push in between. `spans`: of wishes that name
    a commit whose units are compared. `before`: the tip that was announced last."""

    source: SourceName
    url: str
    branch: str
    refs: tuple[str, ...] = ()
    requested_at: float = 0.0
    initial_default_branch: str = ""
    comparisons: tuple[Comparison, ...] = ()
    announced_revision: Revision | None = None


@dataclass(frozen=True)
class ResolvedCommit:
    """A commit and its units. `is_on_branch`: it belongs to the followed branch."""

    revision: Revision
    snapshot: DiscoveredUnits
    digest: Digest
    is_on_branch: bool


@dataclass(frozen=True)
class ResolveResult:
    """`error`: nothing could be learnt. Otherwise the tip and each ref are seen, or have an error of their own.

    `changed`: for each span the units that differ. `changes`: what the tip changed against the question's `before`;
    None: that cannot be told, or nobody asked."""

    question: ResolveQuery
    error: CloudBuilderError | None = None
    branch: str = ""
    head: ResolvedCommit | CloudBuilderError | None = None
    refs: Mapping[str, ResolvedCommit | CloudBuilderError] = field(default_factory=dict)
    changed: Mapping[Comparison, tuple[UnitPath, ...] | CloudBuilderError] = field(default_factory=dict)
    changes: tuple[UnitChange, ...] | None = None

    def to(self, span: Comparison, asked: float) -> ResolvedCommit | CloudBuilderError | None:
        """What it says to a wish of that time; None: nothing, ask again."""
        ref, since = span
        if ref not in self.question.refs or asked > self.question.requested_at:
            return None
        if since and span not in self.question.comparisons:
            return None
        changed = self.changed.get(span)
        return self.error or (changed if isinstance(changed, CloudBuilderError) else self.refs.get(ref))


class SourceResolver:
    """`max_age`: seconds that a discovery is believed. The flow's thread calls; other threads do the work."""

    def __init__(self, mirror: SourceMirror, discovery: UnitDiscovery, max_age: float) -> None:
        self._mirror = mirror
        self._discovery = discovery
        self._max_age = max_age
        self._answers: SimpleQueue[ResolveResult] = SimpleQueue()
        self._asked: set[SourceName] = set()
        self._lock = Lock()
        self._snapshots: dict[tuple[SourceName, Revision], tuple[DiscoveredUnits, Digest, float]] = {}

    def submit(self, question: ResolveQuery) -> None:
        """Returns at once. Not for a source that is being asked."""
        self._asked.add(question.source)
        Thread(target=self._work, args=(question,), name=f"look-{question.source}", daemon=True).start()

    def is_pending(self, source: SourceName) -> bool:
        return source in self._asked

    @property
    def has_pending(self) -> bool:
        return bool(self._asked)

    def results(self) -> list[ResolveResult]:
        """Those that have come in since the last call."""
        found: list[ResolveResult] = []
        while True:
            try:
                found.append(self._answers.get_nowait())
            except Empty:
                self._asked.difference_update(answer.question.source for answer in found)
                return found

    def _work(self, question: ResolveQuery) -> None:
        try:
            answer = self._look(question)
        except CloudBuilderError as error:
            answer = ResolveResult(question, error=error)
        except Exception as error:
            _LOG.exception("looking at a source failed", extra={"source": question.source})
            answer = ResolveResult(question, error=Bug(f"source {question.source}: {type(error).__name__}: {error}"))
        self._answers.put(answer)

    def _look(self, question: ResolveQuery) -> ResolveResult:
        source = question.source
        self._mirror.refresh(source, question.url)
        try:
            branch = self._followed(question)
        except CloudBuilderError as error:
            return ResolveResult(question, head=error, refs=dict.fromkeys(question.refs, error))
        seen = {ref: self._seen(source, branch, ref) for ref in dict.fromkeys(("", *question.refs))}
        changed = {span: self._changed(source, branch, seen[span[0]], span[1]) for span in question.comparisons}
        changes = self._changes(source, question.announced_revision, seen[""])
        return ResolveResult(question, branch=branch, head=seen[""], refs=seen, changed=changed, changes=changes)

    def _followed(self, question: ResolveQuery) -> str:
        if question.initial_default_branch and not question.branch:
            with suppress(Rejected):
                self._mirror.resolve(question.source, question.initial_default_branch)
                return question.initial_default_branch
        return question.branch or self._mirror.default_branch(question.source, question.url)

    def _seen(self, source: SourceName, branch: str, ref: str) -> ResolvedCommit | CloudBuilderError:
        try:
            revision = self._mirror.resolve(source, _expand_head_ref(ref, branch))
            snapshot, digest = self._discovered(source, revision)
            return ResolvedCommit(revision, snapshot, digest, self._mirror.contains(source, branch, revision))
        except CloudBuilderError as error:
            return error

    def _changed(
        self, source: SourceName, branch: str, sight: ResolvedCommit | CloudBuilderError, since: str
    ) -> tuple[UnitPath, ...] | CloudBuilderError:
        """The units that are not what they were at `since`."""
        if not isinstance(sight, ResolvedCommit):
            return sight
        try:
            before = self._mirror.resolve(source, _expand_head_ref(since, branch))
            files = self._mirror.changed_files(source, before, sight.revision)
        except Rejected as error:
            hint = f"{error.hint} `since` takes a branch, a tag or a commit of the source, and main~2 and the like."
            return Rejected(error.message, code=error.code, hint=hint.strip())
        except CloudBuilderError as error:
            return error
        return tuple(sorted(changes_by_unit(sight.snapshot.units, files)))

    def _changes(
        self, source: SourceName, before: Revision | None, sight: ResolvedCommit | CloudBuilderError
    ) -> tuple[UnitChange, ...] | None:
        """What a push changed. That it cannot be told (a forced push, a new mirror) stops no announcement."""
        if before is None or not isinstance(sight, ResolvedCommit) or before == sight.revision:
            return None
        try:
            return summarize_changes(
                changes_by_unit(sight.snapshot.units, self._mirror.changed_files(source, before, sight.revision))
            )
        except Exception as error:
            extra = {"source": source, "since": before[:10], "cause": str(error)}
            _LOG.info("what a push changed cannot be told", extra=extra)
            return None

    def _discovered(
        self, source: SourceName, revision: Revision, clock: Callable[[], float] = time.monotonic
    ) -> tuple[DiscoveredUnits, Digest]:
        key = (source, revision)
        with self._lock:
            kept = self._snapshots.get(key)
        if kept is not None and clock() - kept[2] < self._max_age:
            return kept[0], kept[1]
        snapshot = self._discovery.snapshot(CommitTree(self._mirror, source, revision))
        digest = snapshot.digest()
        with self._lock:
            self._snapshots.pop(key, None)
            self._snapshots[key] = (snapshot, digest, clock())
            while len(self._snapshots) > _SNAPSHOT_CACHE_SIZE:
                self._snapshots.pop(next(iter(self._snapshots)))
        return snapshot, digest


def _expand_head_ref(ref: str, branch: str) -> str:
    """HEAD, in a wish, is the tip of the followed branch; so is nothing."""
    return _HEAD.sub(lambda _: branch, ref) or branch
