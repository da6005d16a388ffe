"""Answers queries about sources in threads of its own, so that the flow never waits for a network.

Input: one query a source at a time. It refreshes the mirror and resolves the head of the followed branch and the refs.
Output: results, which the flow's next tick collects: the units at each commit, the files that a push changed, and the
units that changed since a commit that a request names.
Must not: touch the store or emit events.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from cloud_builder.errors import Bug, CloudBuilderError, Rejected
from cloud_builder.model.ids import Digest, Revision, SourceName, UnitPath
from cloud_builder.model.manifest import MANIFEST, directory_of, unit_path
from cloud_builder.model.rebuild import DEFAULT_SUFFIX
from cloud_builder.model.unit import DeletedUnit, Unit, UnitChange
from cloud_builder.ports.source import SourceMirror

from .announcement import changes_by_unit, summarize_changes
from .discover import DiscoveredUnits, UnitDiscovery
from .resolution import MAX_NEWER_COMMITS, Comparison, ResolvedCommit, ResolveQuery, ResolveResult
from .tree import CommitTree

_LOG = logging.getLogger("cb.request")
_SNAPSHOT_CACHE_SIZE = 16
"""Commits whose discovered units are cached, over all sources."""
MAX_DELETED_UNITS = 500
"""Deleted units of one comparison whose packages are read."""
_HEAD = re.compile(r"^HEAD(?=$|[~^])")


class SourceResolver:
    """Resolves refs and branches of sources. One thread calls it; its own threads do the work.

    `max_age`: seconds that discovered units are cached. They hold the state of package repositories, which changes
    without a new commit.
    """

    def __init__(self, mirror: SourceMirror, discovery: UnitDiscovery, max_age: float) -> None:
        self._mirror = mirror
        self._discovery = discovery
        self._max_age = max_age
        self._results: SimpleQueue[ResolveResult] = SimpleQueue()
        self._pending: set[SourceName] = set()
        self._lock = Lock()
        self._cache: dict[tuple[SourceName, Revision], tuple[DiscoveredUnits, Digest, float]] = {}

    def submit(self, query: ResolveQuery) -> None:
        """Starts to answer a query, and returns at once. Not for a source whose query is pending."""
        self._pending.add(query.source)
        Thread(target=self._run, args=(query,), name=f"resolve-{query.source}", daemon=True).start()

    def is_pending(self, source: SourceName) -> bool:
        return source in self._pending

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def results(self) -> list[ResolveResult]:
        """Returns the results that have come in since the last call."""
        results: list[ResolveResult] = []
        while True:
            try:
                results.append(self._results.get_nowait())
            except Empty:
                self._pending.difference_update(result.query.source for result in results)
                return results

    def _run(self, query: ResolveQuery) -> None:
        try:
            result = self._resolve(query)
        except CloudBuilderError as error:
            result = ResolveResult(query, error=error)
        except Exception as error:
            _LOG.exception("resolving a source failed", extra={"source": query.source})
            result = ResolveResult(query, error=Bug(f"source {query.source}: {type(error).__name__}: {error}"))
        self._results.put(result)

    def _resolve(self, query: ResolveQuery) -> ResolveResult:
        source = query.source
        self._mirror.refresh(source, query.url)
        try:
            branch = self._followed_branch(query)
        except CloudBuilderError as error:
            return ResolveResult(query, head=error, refs=dict.fromkeys(query.refs, error))
        refs = {ref: self._resolve_ref(query, branch, ref) for ref in dict.fromkeys(("", *query.refs))}
        changed: dict[Comparison, tuple[UnitPath, ...] | CloudBuilderError] = {}
        deleted: dict[Comparison, tuple[DeletedUnit, ...]] = {}
        for ref, since in query.comparisons:
            found = self._compare(source, branch, refs[ref], since)
            changed[ref, since], deleted[ref, since] = found if isinstance(found, tuple) else (found, ())
        changes, deleted_by_push = self._changes(source, query.announced_revision, refs[""])
        return ResolveResult(
            query,
            branch=branch,
            head=refs[""],
            refs=refs,
            changed=changed,
            deleted=deleted,
            changes=changes,
            deleted_by_push=deleted_by_push,
        )

    def _followed_branch(self, query: ResolveQuery) -> str:
        if query.initial_default_branch and not query.branch:
            with suppress(Rejected):
                self._mirror.resolve(query.source, f"refs/heads/{query.initial_default_branch}")
                return query.initial_default_branch
        return query.branch or self._mirror.default_branch(query.source, query.url)

    def _resolve_ref(self, query: ResolveQuery, branch: str, ref: str) -> ResolvedCommit | CloudBuilderError:
        source = query.source
        try:
            revision = self._mirror.resolve(source, _expand_head_ref(ref, branch))
            discovered, digest = self._discover(source, revision)
            digest = _with_suffix(digest, query.rebuild_suffix)
            if not self._mirror.contains(source, branch, revision):
                return ResolvedCommit(revision, discovered, digest, is_on_branch=False)
            newer = tuple(self._mirror.newer_commits(source, branch, revision, MAX_NEWER_COMMITS + 1))
            return ResolvedCommit(revision, discovered, digest, is_on_branch=True, newer=newer)
        except CloudBuilderError as error:
            return error

    def _compare(
        self, source: SourceName, branch: str, commit: ResolvedCommit | CloudBuilderError, since: str
    ) -> tuple[tuple[UnitPath, ...], tuple[DeletedUnit, ...]] | CloudBuilderError:
        """Returns the units that are new since `since`, or differ from what they were there, and those that are
        gone."""
        if not isinstance(commit, ResolvedCommit):
            return commit
        try:
            before = self._mirror.resolve(source, _expand_head_ref(since, branch))
            changed = tuple(unit.path for unit in commit.discovered.units if self._differs(source, before, unit))
            files = self._mirror.changed_files(source, before, commit.revision)
            return changed, self._deleted(source, before, commit, files)
        except Rejected as error:
            hint = f"{error.hint} `since` takes a branch, a tag or a commit of the source, and main~2 and the like."
            return Rejected(error.message, code=error.code, hint=hint.strip())
        except CloudBuilderError as error:
            return error

    def _differs(self, source: SourceName, before: Revision, unit: Unit) -> bool:
        try:
            return self._mirror.tree_id(source, before, unit.directory) != unit.tree
        except Rejected as error:
            if error.code != "unknown-path":
                raise
            return True

    def _deleted(
        self, source: SourceName, before: Revision, commit: ResolvedCommit, files: Sequence[str]
    ) -> tuple[DeletedUnit, ...]:
        """Returns the units of an earlier commit whose manifests are gone. `files`: those that differ."""
        tree = CommitTree(self._mirror, source, before)
        paths = {unit.path for unit in commit.discovered.units}
        directories = [directory_of(file) for file in files if f"/{file}".endswith(f"/{MANIFEST}")]
        missing = [directory for directory in directories if unit_path(directory) not in paths]
        units = self._discovery.units_in(tree) if missing else set()
        gone = [directory for directory in missing if directory in units]
        return tuple(
            DeletedUnit(path=unit_path(directory), provides=self._discovery.provided(tree, directory))
            for directory in gone[:MAX_DELETED_UNITS]
        )

    def _changes(
        self, source: SourceName, before: Revision | None, commit: ResolvedCommit | CloudBuilderError
    ) -> tuple[tuple[UnitChange, ...] | None, tuple[DeletedUnit, ...]]:
        """Returns what a push changed (None when it cannot be read: a forced push, a new mirror) and deleted.

        No error is raised: the commit is announced without its changes.
        """
        if before is None or not isinstance(commit, ResolvedCommit) or before == commit.revision:
            return None, ()
        try:
            files = self._mirror.changed_files(source, before, commit.revision)
            links = {
                unit.path: self._mirror.followed_links(source, commit.revision, unit.directory)
                for unit in commit.discovered.units
            }
            changes = summarize_changes(changes_by_unit(commit.discovered.units, files, links))
            return changes, self._deleted(source, before, commit, files)
        except Exception as error:
            extra = {"source": source, "since": before[:10], "cause": str(error)}
            _LOG.info("changes of a push are not known", extra=extra)
            return None, ()

    def _discover(
        self, source: SourceName, revision: Revision, clock: Callable[[], float] = time.monotonic
    ) -> tuple[DiscoveredUnits, Digest]:
        key = (source, revision)
        with self._lock:
            cached = self._cache.get(key)
        if cached is not None and clock() - cached[2] < self._max_age:
            return cached[0], cached[1]
        discovered = self._discovery.discover(CommitTree(self._mirror, source, revision))
        digest = discovered.digest()
        with self._lock:
            self._cache.pop(key, None)
            self._cache[key] = (discovered, digest, clock())
            while len(self._cache) > _SNAPSHOT_CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
        return discovered, digest


def _expand_head_ref(ref: str, branch: str) -> str:
    """Returns the ref with the followed branch for HEAD; an empty ref is the followed branch as well."""
    return _HEAD.sub(lambda _: branch, ref) or branch


def _with_suffix(digest: Digest, suffix: str) -> Digest:
    """Returns the digest of the units and of the rebuild suffix: a commit is announced again when either changes."""
    return digest if suffix == DEFAULT_SUFFIX else Digest(sha256(f"{digest} {suffix}".encode()).hexdigest())
