"""The port to git: sources as bare mirrors that are read object by object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from cloud_builder.model.ids import Revision, SourceName, TreeId


@dataclass(frozen=True)
class Entry:
    """A file or directory of a tree. `mode` is git's (0o100644, 0o120000 for links, 0o160000 for submodules)."""

    name: str
    mode: int
    id: str

    @property
    def is_directory(self) -> bool:
        return self.mode == 0o040000


class SourceMirror(Protocol):
    """Mirrors of git repositories, one a source. Thread-safe by source.

    Raises Retryable(code="source-unreachable") when the remote does not answer, and Rejected with the nearest valid
    name for what does not exist (code `unknown-ref`, `unknown-path`)."""

    def refresh(self, source: SourceName, url: str) -> None:
        """Makes the mirror when there is none and fetches all branches and tags."""

    def default_branch(self, source: SourceName, url: str) -> str: ...

    def resolve(self, source: SourceName, ref: str) -> Revision:
        """A branch, tag (also a tag object) or commit → the commit; `~3` and `^` behind it: its first parents."""

    def contains(self, source: SourceName, branch: str, revision: Revision) -> bool:
        """True when the commit is the branch's tip or one of its ancestors."""

    def entries(self, source: SourceName, revision: Revision, directory: str) -> list[Entry]:
        """What lies in a directory ("" for the top)."""

    def find_files(self, source: SourceName, revision: Revision, suffix: str) -> list[str]:
        """Paths of all files of the commit that end with `suffix`, sorted."""

    def tree_id(self, source: SourceName, revision: Revision, directory: str) -> TreeId: ...

    def changed_files(self, source: SourceName, before: Revision, after: Revision) -> list[str]:
        """Paths of the files that are not the same in two commits (new, gone, other content or mode), sorted.

        Names that are not UTF-8 carry surrogates. Raises Rejected(code="unknown-ref") when a commit is not here."""

    def read(self, source: SourceName, revision: Revision, path: str, most: int) -> bytes:
        """A file's bytes; Rejected(code="too-large") when there are more than `most`."""

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
        """Writes the directory at that commit to `into` (made here), fetching the commit when the mirror lacks it.

        Modification times are the commit's. Retryable(code="canceled") soon after `cancel` is set."""
