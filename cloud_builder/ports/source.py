"""The port to git: bare mirrors of the sources, read object by object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from cloud_builder.model.ids import Revision, SourceName, TreeId


@dataclass(frozen=True)
class Entry:
    """A file or directory in a git tree. `mode` is git's (0o100644; 0o120000: link; 0o160000: submodule)."""

    name: str
    mode: int
    id: str

    @property
    def is_directory(self) -> bool:
        return self.mode == 0o040000


NO_COMMITS = "no-commits"
"""The code of the error for an empty repository."""


class SourceMirror(Protocol):
    """Mirrors of git repositories, one for each source. Thread-safe by source.

    Raises Retryable(code="source-unreachable") if the remote does not answer, and Rejected (code `unknown-ref` or
    `unknown-path`), with the nearest valid name, for a ref or path that does not exist."""

    def refresh(self, source: SourceName, url: str) -> None:
        """Fetches all branches and tags; creates the mirror if there is none."""

    def default_branch(self, source: SourceName, url: str) -> str:
        """Returns the branch that the remote's HEAD names, else another. Rejected(code=NO_COMMITS) if it is empty."""

    def resolve(self, source: SourceName, ref: str) -> Revision:
        """Returns the commit of a branch, tag (also a tag object) or commit. Suffixes `~3`, `^`: its first parents."""

    def contains(self, source: SourceName, branch: str, revision: Revision) -> bool:
        """Returns True if the commit is the branch's head or one of its ancestors."""

    def newer_commits(self, source: SourceName, branch: str, revision: Revision, most: int) -> list[Revision]:
        """Returns the commits of the branch that are neither the commit nor its ancestors, at most `most`."""

    def entries(self, source: SourceName, revision: Revision, directory: str) -> list[Entry]:
        """Returns the entries of a directory ("": the top)."""

    def find_files(self, source: SourceName, revision: Revision, suffix: str) -> list[str]:
        """Returns the paths of all files of the commit that end with `suffix`, sorted."""

    def tree_id(self, source: SourceName, revision: Revision, directory: str) -> TreeId:
        """Returns an id of a directory's content, with that of the files that its links lead to (see `export`)."""

    def check(self, source: SourceName, revision: Revision, directory: str) -> None:
        """Raises Rejected, code `submodule`, `unsafe-path`, `broken-link` or `lfs`, if `export` would refuse it."""

    def followed_links(self, source: SourceName, revision: Revision, directory: str) -> dict[str, str]:
        """Returns the links of a directory that `export` follows: path in the directory → path in the commit."""

    def changed_files(self, source: SourceName, before: Revision, after: Revision) -> list[str]:
        """Returns the paths of the files that differ in two commits (new, deleted, other content or mode), sorted.

        Names that are not UTF-8 contain surrogates. Raises Rejected(code="unknown-ref") if a commit is missing here."""

    def history(self, source: SourceName, revision: Revision, directories: Sequence[str], most: int) -> list[Revision]:
        """Returns the newest commits, along first parents, that changed one of the directories, the newest first.

        The first of them has the directories as `revision` has them. At most `most`."""

    def read(self, source: SourceName, revision: Revision, path: str, most: int) -> bytes:
        """Returns a file's content. Raises Rejected(code="too-large") if it has more than `most` bytes."""

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
        """Writes the directory at that commit to `into`, which it creates. Fetches the commit if the mirror lacks it.

        A link that leaves the directory for a file or directory of the commit becomes a copy of it.

        Modification times are the commit's. Raises Retryable(code="canceled") soon after `cancel` is set."""
