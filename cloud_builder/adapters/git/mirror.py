"""Implements `ports.source.SourceMirror` by git: ref names → commits, listings and files.

Keeps in memory only what makes reading fast: the last listings, and one reading process for each mirror.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.ids import Revision, SourceName, TreeId
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.ports.source import NO_COMMITS, Entry

from . import lfs
from .bare import HEADS, TAGS, BareMirror
from .command import without_secrets
from .export import check_directory, write_directory
from .links import ExportedEntry, Link, follow, followed_links
from .objects import FILES, LINK, Blobs, TreeListing, list_tree

_MAX_LISTINGS = 8
_MAX_ENTRIES = 200_000
"""Entries of all cached listings together; each takes some 400 bytes."""
_SHALLOW_HINT = "The source is a shallow clone, without older commits: run git fetch --unshallow in it."
_COMMIT = re.compile(r"^[0-9a-f]{7,64}$")
_ANCESTOR = re.compile(r"^(.+?)((?:~\d{0,6}|\^)*)$", re.DOTALL)
"""A ref with ancestor suffixes. Names of branches and tags cannot contain `~` or `^` (git-check-ref-format)."""


class GitMirror:
    """The mirrors of all sources, in the directory `cache`. Thread-safe; processes may share the directory."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = Lock()
        self._blobs: dict[SourceName, Blobs] = {}
        self._listings: dict[tuple[SourceName, Revision], TreeListing] = {}
        self._lfs: dict[tuple[SourceName, Revision], dict[str, Entry]] = {}

    def refresh(self, source: SourceName, url: str) -> None:
        BareMirror(self._path(source)).refresh(url)

    def default_branch(self, source: SourceName, url: str) -> str:
        bare = self._bare(source)
        branches = [ref.removeprefix(HEADS) for ref in bare.refs() if ref.startswith(HEADS)]
        if not branches:
            hint = "It is followed: its first push is built."
            raise Rejected(f"{without_secrets(url)} has no commits yet", code=NO_COMMITS, hint=hint)
        candidates = (bare.head().removeprefix(HEADS), "main", "master", *branches)
        return next(branch for branch in candidates if branch in branches)

    def resolve(self, source: SourceName, ref: str) -> Revision:
        bare = self._bare(source)
        refs = bare.refs()
        named = _ANCESTOR.match(ref)
        name, back = named.groups() if named else (ref, "")
        full = next((full for full in (HEADS + name, TAGS + name, name) if full in refs), None)
        if full is None and _COMMIT.match(name):
            full = name
        if full is not None:
            found = bare.repository.try_git("rev-parse", "--verify", "--quiet", f"{full}^{{commit}}{back}")
            if found.status == 0:
                return Revision(found.text.strip())
        names = [name.removeprefix(HEADS).removeprefix(TAGS) for name in refs]
        kind = "commit" if full == ref else "branch, tag or commit"
        hint = _SHALLOW_HINT if full and bare.is_shallow() else did_you_mean(ref, names)
        raise Rejected(f'source {source}: no {kind} "{ref}"', code="unknown-ref", hint=hint)

    def contains(self, source: SourceName, branch: str, revision: Revision) -> bool:
        arguments = ("merge-base", "--is-ancestor", revision, HEADS + branch)
        return self._bare(source).repository.try_git(*arguments).status == 0

    def newer_commits(self, source: SourceName, branch: str, revision: Revision, most: int) -> list[Revision]:
        arguments = ("rev-list", f"--max-count={most}", f"{revision}..{HEADS}{branch}")
        return [Revision(line) for line in self._bare(source).repository.git(*arguments).text.split()]

    def entries(self, source: SourceName, revision: Revision, directory: str) -> list[Entry]:
        listing = self._listing(source, revision)
        self._tree(source, listing, directory)
        return list(listing.children.get(directory, ()))

    def find_files(self, source: SourceName, revision: Revision, suffix: str) -> list[str]:
        listing = self._listing(source, revision)
        entries = listing.entries.items()
        return sorted(path for path, entry in entries if path.endswith(suffix) and entry.mode in (*FILES, LINK))

    def tree_id(self, source: SourceName, revision: Revision, directory: str) -> TreeId:
        listing = self._listing(source, revision)
        tree = self._tree(source, listing, directory).id
        followed = self._followed(source, listing, directory)
        if not followed:
            return TreeId(tree)
        rows = [f"{link.path}\0{link.entry.mode:o}\0{link.entry.id}" for link in followed]
        return TreeId(sha256("\n".join([tree, *rows]).encode(errors="surrogateescape")).hexdigest())

    def check(self, source: SourceName, revision: Revision, directory: str) -> None:
        listing = self._listing(source, revision)
        check_directory(listing, directory, self._link(source))
        if (pointers := self._pointers(source, revision, listing)) and not lfs.is_available():
            for path in self._origins(source, listing, directory):
                if path in pointers:
                    raise lfs.refusal(path)

    def followed_links(self, source: SourceName, revision: Revision, directory: str) -> dict[str, str]:
        listing = self._listing(source, revision)
        return {link.path: link.origin for link in self._followed(source, listing, directory)}

    def _followed(self, source: SourceName, listing: TreeListing, directory: str) -> list[ExportedEntry]:
        """Returns the followed links of a directory; none if one is a loop, which `check` reports for its unit."""
        try:
            return followed_links(listing, directory, self._link(source))
        except Rejected:
            return []

    def changed_files(self, source: SourceName, before: Revision, after: Revision) -> list[str]:
        repository = self._bare(source).repository
        for revision in (before, after):
            exists = (
                _COMMIT.match(revision) and not repository.try_git("cat-file", "-e", f"{revision}^{{commit}}").status
            )
            if not exists:
                raise Rejected(f"source {source}: no commit {revision}", code="unknown-ref")
        output = repository.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after).stdout
        return sorted(name.decode(errors="surrogateescape") for name in output.split(b"\0") if name)

    def history(self, source: SourceName, revision: Revision, directories: Sequence[str], most: int) -> list[Revision]:
        self._listing(source, revision)
        options = (
            "--first-parent",
            f"--max-count={most}",
            revision,
            "--",
            *(directory or "." for directory in directories),
        )
        found = self._bare(source).repository.git("--literal-pathspecs", "rev-list", *options).text
        return [Revision(line) for line in found.split()]

    def read(self, source: SourceName, revision: Revision, path: str, most: int) -> bytes:
        listing = self._listing(source, revision)
        blobs = self._opened(source)
        found = follow(listing, path, blobs.link)
        if found is not None and listing.entries[found].is_directory:
            found = None
        if found is None and (entry := listing.entries.get(path)) and entry.mode == LINK:
            target = _shortened(blobs.link(entry.id))
            hint = "A link may lead to a file of the same commit only; commit the file itself."
            raise Rejected(
                f"{path} is a link to {target}, which is no file of this commit", code="broken-link", hint=hint
            )
        if found is None:
            raise Rejected(
                f"source {source}: no file {path}", code="unknown-path"
            )  # No search for similar names: it is called for each unit.
        identity = listing.entries[found].id
        if found in self._pointers(source, revision, listing):
            hint = "cb-request reads manifests and packaging from git itself: keep this file out of LFS."
            raise Rejected(f"{path} is in Git LFS", code="lfs", hint=hint)
        size = blobs.size(identity)
        if size > most:
            raise Rejected(f"{path}: has {size} bytes, {most} are allowed", code="too-large")
        return blobs.read(identity)

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
        bare = BareMirror(self._path(source), cancel)
        bare.need_commit(url, revision)
        listing = self._listing(source, revision)
        followed = followed_links(listing, directory, self._link(source))
        self._tree(source, listing, directory)
        bare.need_files(url, revision, [directory or ".", *(link.origin for link in followed)])
        time = int(bare.repository.git("show", "-s", "--format=%ct", revision).text.split()[-1])
        blobs = self._opened(source)
        pointers = self._pointers(source, revision, listing)
        names = {entry.id: path for path, entry in pointers.items()}

        def copy(identity: str, file: BinaryIO) -> None:
            if identity in names:
                lfs.download(bare.repository, url, names[identity], blobs.read(identity), file)
            else:
                blobs.copy(identity, file, cancel=cancel)

        write_directory(listing, directory, into, copy=copy, link=blobs.link, time=time)

    def close(self) -> None:
        """Ends the reading git processes."""
        with self._lock:
            for blobs in self._blobs.values():
                blobs.close()
            self._blobs.clear()

    def _path(self, source: SourceName) -> Path:
        return self._cache / f"{source}.git"

    def _bare(self, source: SourceName) -> BareMirror:
        bare = BareMirror(self._path(source))
        if not bare.is_filled():
            raise Retryable(f"source {source} is not mirrored yet", code="source-unreachable")
        return bare

    def _opened(self, source: SourceName) -> Blobs:
        with self._lock:
            if source not in self._blobs:
                self._blobs[source] = Blobs(self._bare(source).path)
            return self._blobs[source]

    def _origins(self, source: SourceName, listing: TreeListing, directory: str) -> Iterator[str]:
        """Yields the paths in the commit of all files that `export` writes."""
        roots = [directory, *(link.origin for link in followed_links(listing, directory, self._link(source)))]
        for root in roots:
            yield root
            yield from (f"{root}/{path}" if root else path for path, _ in listing.below(root))

    def _pointers(self, source: SourceName, revision: Revision, listing: TreeListing) -> dict[str, Entry]:
        """Returns the files of a commit that are in Git LFS, by path."""
        key = (source, revision)
        found = self._lfs.get(key)
        if found is None:
            found = lfs.pointers(self._bare(source).repository, revision, listing, self._opened(source))
            with self._lock:
                self._lfs = {known: self._lfs[known] for known in list(self._lfs)[-_MAX_LISTINGS:]}
                self._lfs[key] = found
        return found

    def _link(self, source: SourceName) -> Link:
        """Returns a function that reads a link. It starts git only when there is a link to read."""
        return lambda identity: self._opened(source).link(identity)

    def _listing(self, source: SourceName, revision: Revision) -> TreeListing:
        key = (source, revision)
        with self._lock:
            if key in self._listings:
                return self._listings[key]
        repository = self._bare(source).repository
        tree = repository.try_git("rev-parse", "--verify", "--quiet", f"{revision}^{{tree}}")
        if tree.status:
            raise Rejected(f"source {source}: no commit {revision}", code="unknown-ref")
        listing = list_tree(repository, tree.text.strip())
        with self._lock:
            while self._listings and self._is_full(len(listing.entries)):
                self._listings.pop(next(iter(self._listings)))
            self._listings[key] = listing
        return listing

    def _is_full(self, new_entries: int) -> bool:
        entries = sum(len(listing.entries) for listing in self._listings.values())
        return len(self._listings) >= _MAX_LISTINGS or entries + new_entries > _MAX_ENTRIES

    def _tree(self, source: SourceName, listing: TreeListing, directory: str) -> Entry:
        entry = listing.entries.get(directory)
        if entry is None or not entry.is_directory:
            directories = (path for path, other in listing.entries.items() if other.is_directory)
            hint = did_you_mean(directory, directories)
            raise Rejected(f"source {source}: no directory {directory}", code="unknown-path", hint=hint)
        return entry


def _shortened(name: str) -> str:
    return name if len(name) <= 200 else f"{name[:200]}…"
