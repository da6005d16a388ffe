"""Asks git in threads of its own: one question a source at a time, answers collected by the flow's next tick.

A question refreshes the mirror, looks at the tip of the followed branch and at the refs that wishes name, and discovers
the units there. What was discovered at a commit is kept as long as the state of package repositories is believed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from cloud_builder.errors import Bug, CloudBuilderError, Rejected
from cloud_builder.model.ids import Digest, Revision, SourceName
from cloud_builder.ports.source import SourceMirror

from .discover import Discovery, Snapshot
from .tree import CommitTree

_LOG = logging.getLogger("cb.request")
_SNAPSHOTS_KEPT = 16


@dataclass(frozen=True)
class Question:
    """`branch` empty: the repository's default as it was at first sight (`first_branch`), while that exists: checking
    out another branch in a repository is no reason to follow it. `refs`: what wishes name; empty: the followed branch.

    `asked_at`: wishes that came later need a newer answer, because of a push in between."""

    source: SourceName
    url: str
    branch: str
    refs: tuple[str, ...] = ()
    asked_at: float = 0.0
    first_branch: str = ""


@dataclass(frozen=True)
class Sight:
    """A commit and its units. `is_on_branch`: it belongs to the followed branch."""

    revision: Revision
    snapshot: Snapshot
    digest: Digest
    is_on_branch: bool


@dataclass(frozen=True)
class Answer:
    """`error`: nothing could be learnt. Otherwise the tip and each ref are seen, or have an error of their own."""

    question: Question
    error: CloudBuilderError | None = None
    branch: str = ""
    tip: Sight | CloudBuilderError | None = None
    refs: Mapping[str, Sight | CloudBuilderError] = field(default_factory=dict)

    def to(self, ref: str, since: float) -> Sight | CloudBuilderError | None:
        """What it says to a wish of that time; None: nothing, ask again."""
        if ref not in self.question.refs or since > self.question.asked_at:
            return None
        return self.error or self.refs.get(ref)


class Lookout:
    """`max_age`: seconds that a discovery is believed. The flow's thread calls; other threads do the work."""

    def __init__(self, mirror: SourceMirror, discovery: Discovery, max_age: float) -> None:
        self._mirror = mirror
        self._discovery = discovery
        self._max_age = max_age
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._asked: set[SourceName] = set()
        self._lock = Lock()
        self._snapshots: dict[tuple[SourceName, Revision], tuple[Snapshot, Digest, float]] = {}

    def ask(self, question: Question) -> None:
        """Returns at once. Not for a source that is being asked."""
        self._asked.add(question.source)
        Thread(target=self._work, args=(question,), name=f"look-{question.source}", daemon=True).start()

    def is_asking(self, source: SourceName) -> bool:
        return source in self._asked

    @property
    def is_busy(self) -> bool:
        return bool(self._asked)

    def answers(self) -> list[Answer]:
        """Those that have come in since the last call."""
        found: list[Answer] = []
        while True:
            try:
                found.append(self._answers.get_nowait())
            except Empty:
                self._asked.difference_update(answer.question.source for answer in found)
                return found

    def _work(self, question: Question) -> None:
        try:
            answer = self._look(question)
        except CloudBuilderError as error:
            answer = Answer(question, error=error)
        except Exception as error:
            _LOG.exception("looking at a source failed", extra={"source": question.source})
            answer = Answer(question, error=Bug(f"source {question.source}: {type(error).__name__}: {error}"))
        self._answers.put(answer)

    def _look(self, question: Question) -> Answer:
        source = question.source
        self._mirror.refresh(source, question.url)
        try:
            branch = self._followed(question)
        except CloudBuilderError as error:
            return Answer(question, tip=error, refs=dict.fromkeys(question.refs, error))
        seen = {ref: self._seen(source, branch, ref) for ref in dict.fromkeys(("", *question.refs))}
        return Answer(question, branch=branch, tip=seen[""], refs=seen)

    def _followed(self, question: Question) -> str:
        if question.first_branch and not question.branch:
            with suppress(Rejected):
                self._mirror.resolve(question.source, question.first_branch)
                return question.first_branch
        return question.branch or self._mirror.default_branch(question.source, question.url)

    def _seen(self, source: SourceName, branch: str, ref: str) -> Sight | CloudBuilderError:
        try:
            revision = self._mirror.resolve(source, ref or branch)
            snapshot, digest = self._discovered(source, revision)
            return Sight(revision, snapshot, digest, self._mirror.contains(source, branch, revision))
        except CloudBuilderError as error:
            return error

    def _discovered(
        self, source: SourceName, revision: Revision, clock: Callable[[], float] = time.monotonic
    ) -> tuple[Snapshot, Digest]:
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
            while len(self._snapshots) > _SNAPSHOTS_KEPT:
                self._snapshots.pop(next(iter(self._snapshots)))
        return snapshot, digest
