"""The port `SourceMirror` in memory: commits are made by method calls. For tests without git."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from threading import Event

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.ids import Revision, SourceName, TreeId
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.ports.source import NO_COMMITS, Entry

Files = dict[str, bytes]
_FILE, _DIRECTORY, _TIME = 0o100644, 0o040000, 1_700_000_000


@dataclass
class MemoryRepository:
    """A repository. Each commit has all of its files by path."""

    commits: dict[Revision, Files] = field(default_factory=dict)
    parents: dict[Revision, Revision | None] = field(default_factory=dict)
    branches: dict[str, Revision] = field(default_factory=dict)
    tags: dict[str, Revision] = field(default_factory=dict)
    head: str = "main"
    """The default branch, if there is a branch of that name."""

    def commit(self, files: Files, branch: str = "main", *, onto: Revision | None = None) -> Revision:
        """Makes a commit with exactly these files, on the branch's head (or on `onto`: a forced push)."""
        parent = onto or self.branches.get(branch)
        revision = Revision(_hash(repr((parent, sorted(files.items()), len(self.commits))).encode()))
        self.commits[revision] = dict(files)
        self.parents[revision] = parent
        self.branches[branch] = revision
        return revision


class MemorySource:
    """Implements ports.source.SourceMirror for `repositories`, by URL. A mirror has the state of its last refresh."""

    def __init__(self) -> None:
        self.repositories: dict[str, MemoryRepository] = {}
        self.is_reachable = True
        self.refreshes = 0
        self._mirrored: dict[SourceName, MemoryRepository] = {}

    def repository(self, url: str) -> MemoryRepository:
        return self.repositories.setdefault(url, MemoryRepository())

    def refresh(self, source: SourceName, url: str) -> None:
        self.refreshes += 1
        if not self.is_reachable or url not in self.repositories:
            raise Retryable(f"{url}: does not answer", code="source-unreachable", hint="Look at the URL.")
        now = self.repositories[url]
        before = self._mirrored.get(source, MemoryRepository())
        self._mirrored[source] = MemoryRepository(
            before.commits | now.commits, before.parents | now.parents, dict(now.branches), dict(now.tags), now.head
        )

    def default_branch(self, source: SourceName, url: str) -> str:
        repository = self._of(source)
        branches = repository.branches
        if not branches:
            raise Rejected(f"{url}: has no commits yet", code=NO_COMMITS, hint="Its first push is built.")
        return repository.head if repository.head in branches else sorted(branches)[0]

    def resolve(self, source: SourceName, ref: str) -> Revision:
        repository = self._of(source)
        name, back = re.findall(r"^(.*?)((?:~\d{0,6}|\^)*)$", ref, re.DOTALL)[0]
        found = repository.branches.get(name.removeprefix("refs/heads/")) or repository.tags.get(name)
        if found is None and len(name) >= 7:
            found = next((revision for revision in repository.commits if revision.startswith(name)), None)
        for step in re.findall(r"~(\d*)|\^", back):
            for _ in range(int(step or 1)):
                found = repository.parents[found] if found else None
        if found is None:
            hint = did_you_mean(ref, [*repository.branches, *repository.tags])
            raise Rejected(f'source {source}: no branch, tag or commit "{ref}"', code="unknown-ref", hint=hint)
        return found

    def contains(self, source: SourceName, branch: str, revision: Revision) -> bool:
        repository = self._of(source)
        at = repository.branches.get(branch)
        while at is not None and at != revision:
            at = repository.parents[at]
        return at is not None

    def newer_commits(self, source: SourceName, branch: str, revision: Revision, most: int) -> list[Revision]:
        repository = self._of(source)
        older = _history(repository, revision)
        newer = [commit for commit in _history(repository, repository.branches[branch]) if commit not in older]
        return newer[:most]

    def entries(self, source: SourceName, revision: Revision, directory: str) -> list[Entry]:
        files = self._below(source, revision, directory)
        names = sorted({path.split("/", 1)[0] for path in files})
        prefix = f"{directory}/" if directory else ""
        return [
            Entry(name, _FILE, _hash(files[name]))
            if name in files
            else Entry(name, _DIRECTORY, self.tree_id(source, revision, prefix + name))
            for name in names
        ]

    def find_files(self, source: SourceName, revision: Revision, suffix: str) -> list[str]:
        return sorted(path for path in self._files(source, revision) if path.endswith(suffix))

    def tree_id(self, source: SourceName, revision: Revision, directory: str) -> TreeId:
        return TreeId(_hash(repr(sorted(self._below(source, revision, directory).items())).encode()))

    def check(self, source: SourceName, revision: Revision, directory: str) -> None:
        """Refuses nothing: there are only files."""

    def followed_links(self, source: SourceName, revision: Revision, directory: str) -> dict[str, str]:
        return {}

    def changed_files(self, source: SourceName, before: Revision, after: Revision) -> list[str]:
        old, new = self._files(source, before), self._files(source, after)
        return sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))

    def history(self, source: SourceName, revision: Revision, directories: Sequence[str], most: int) -> list[Revision]:
        self._files(source, revision)
        found: list[Revision] = []
        at: Revision | None = revision
        while at is not None and len(found) < most:
            parent = self._of(source).parents[at]
            before = {} if parent is None else self._in(source, parent, directories)
            if before != self._in(source, at, directories):
                found.append(at)
            at = parent
        return found

    def read(self, source: SourceName, revision: Revision, path: str, most: int) -> bytes:
        files = self._files(source, revision)
        if path not in files:
            raise Rejected(f"source {source}: no file {path}", code="unknown-path")
        if len(files[path]) > most:
            raise Rejected(f"{path}: has {len(files[path])} bytes, {most} are allowed", code="too-large")
        return files[path]

    def export(
        self,
        source: SourceName,
        url: str,
        revision: Revision,
        directory: str,
        into: Path,
        *,
        cancel: Event | None = None,
    ) -> None:
        if cancel is not None and cancel.is_set():
            raise Retryable(f"{directory}: was canceled", code="canceled")
        if source not in self._mirrored or revision not in self._mirrored[source].commits:
            self.refresh(source, url)
        for path, content in self._below(source, revision, directory).items():
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            os.utime(target, (_TIME, _TIME))

    def _of(self, source: SourceName) -> MemoryRepository:
        if source not in self._mirrored:
            raise Retryable(f"source {source}: not mirrored yet", code="source-unreachable")
        return self._mirrored[source]

    def _files(self, source: SourceName, revision: Revision) -> Files:
        commits = self._of(source).commits
        if revision not in commits:
            raise Rejected(f"source {source}: no commit {revision}", code="unknown-ref")
        return commits[revision]

    def _in(self, source: SourceName, revision: Revision, directories: Sequence[str]) -> Files:
        files = self._files(source, revision).items()
        return {path: content for path, content in files if any(not d or path.startswith(f"{d}/") for d in directories)}

    def _below(self, source: SourceName, revision: Revision, directory: str) -> Files:
        files = self._files(source, revision)
        prefix = f"{directory}/" if directory else ""
        below = {path.removeprefix(prefix): content for path, content in files.items() if path.startswith(prefix)}
        if not below and directory:
            parents = {path.rpartition("/")[0] for path in files}
            hint = did_you_mean(directory, parents)
            raise Rejected(f"source {source}: no directory {directory}", code="unknown-path", hint=hint)
        return below


def _history(repository: MemoryRepository, revision: Revision | None) -> list[Revision]:
    """Returns the commit and its ancestors, the newest first."""
    commits: list[Revision] = []
    while revision is not None:
        commits.append(revision)
        revision = repository.parents[revision]
    return commits


def _hash(content: bytes) -> str:
    return sha1(content, usedforsecurity=False).hexdigest()
