"""Writes signed apt repositories to disk (the port RepositoryWriter).

Input: the listing of a snapshot. Output: files below one directory a repository. The order of writing keeps readers
consistent: packages into the pool, indices by hash, the snapshot, then the pointer. A publish that was killed starts
again and reuses the files that are complete.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cloud_builder.errors import Permanent
from cloud_builder.files.disk_errors import retryable_disk_errors
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage, SourcePackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.planning.publish import apt_index
from cloud_builder.ports.signer import Signer
from cloud_builder.ports.store import ObjectStore

from . import binary_package, source_package
from .pool_directory import PoolDirectory
from .snapshots import BY_HASH, FILES, Snapshots, number, write

GRACE = 600
"""Seconds for which a replaced snapshot is kept at least, because clients may still read it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,150}")


@dataclass(frozen=True)
class _Index:
    """The indices of a listing by their path below the suite, and a digest over all of them."""

    files: Mapping[str, bytes]
    digest: str


class AptRepositories:
    """All apt repositories below `root`, one directory each.

    url    where `root` is served, without a slash at the end; only the snippets for apt contain it
    keep   snapshots that are kept at least, the live one included (2 or more)
    grace  seconds for which a replaced snapshot is kept at least
    """

    def __init__(
        self, root: Path, store: ObjectStore, signer: Signer, *, url: str, keep: int = 10, grace: int = GRACE
    ) -> None:
        self._root, self._store, self._signer = root, store, signer
        self._url, self._keep, self._grace = url, keep, grace
        self._pool_files = PoolDirectory(store)
        self._prepared: set[RepositoryName] = set()
        for leftover in root.glob(".inspect-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def inspect(self, artifact: Artifact) -> BinaryPackage:
        stanza = self._pool_files.stanza(apt_index.pool_path(artifact))
        if stanza is None:
            with self._fetched(artifact) as file:
                stanza = self._pool_files.stanza_of(artifact, file)
        return binary_package.binary_package(stanza)

    def inspect_source(self, files: Sequence[Artifact]) -> SourcePackage:
        descriptions = [file for file in files if file.kind is ArtifactKind.DSC]
        if len(descriptions) != 1:
            raise source_package.malformed(f"{len(descriptions)} of them instead of one")
        with self._fetched(descriptions[0]) as file:
            return source_package.source_package(source_package.read(file), files)

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        _check_name(listing.repository)
        _check_name(listing.suite)
        with self._disk_errors(f"publish {listing.repository}"):
            snapshots = self._snapshots_of(listing.repository)
            self._pool_files.add(snapshots, listing)
            index = self._index(listing)
            live = snapshots.live()
            if live.partition("-")[2] != index.digest:
                newest = max([*snapshots.names(), after], key=number)
                live = f"{number(newest) + 1:06d}-{index.digest}"
                self._write(snapshots, listing, index, live, self._date(snapshots, at))
            snapshots.point_at(live)
            self._write_key(snapshots, listing)
            self._pool_files.remove(snapshots.prune(self._keep, int(at) - self._grace))
        return live

    def live(self, repository: RepositoryName) -> str:
        with self._disk_errors(f"read {repository}"):
            return Snapshots(self._root / repository).live()

    def _existing_root(self) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        return self._root

    @contextmanager
    def _fetched(self, artifact: Artifact) -> Iterator[Path]:
        """Yields a temporary copy of a stored file."""
        with self._disk_errors("inspect"):
            directory = tempfile.mkdtemp(prefix=".inspect-", dir=self._existing_root())
            try:
                file = Path(directory) / "file"
                self._store.fetch(artifact.sha256, file)
                yield file
            finally:
                shutil.rmtree(directory)

    def _snapshots_of(self, repository: RepositoryName) -> Snapshots:
        """Returns the snapshots of a repository. The first use removes leftovers and reads the live stanzas."""
        snapshots = Snapshots(self._existing_root() / repository)
        if repository not in self._prepared:
            snapshots.prepare()
            self._pool_files.restore(snapshots)
            self._prepared.add(repository)
        return snapshots

    def _index(self, listing: SnapshotListing) -> _Index:
        files = {path: self._pool_files.index(listed).encode() for path, listed in apt_index.indices(listing).items()}
        names = (f"{path} {hashlib.sha256(files[path]).hexdigest()}" for path in sorted(files))
        identity = "\n".join([listing.repository, listing.suite, self._signer.fingerprint, *names])
        return _Index(files, hashlib.sha256(identity.encode()).hexdigest()[:12])

    def _write(self, snapshots: Snapshots, listing: SnapshotListing, index: _Index, snapshot: str, date: int) -> None:
        top = f"dists/{listing.suite}"
        files = {**index.files, **_compressed(index.files, snapshots.file(snapshots.live(), top))}
        links, kept = {}, apt_index.pool_files(listing)
        for path, content in files.items():
            by_hash = snapshots.add_index(hashlib.sha256(content).hexdigest(), content, date)
            kept.add(by_hash)
            links[f"{top}/{path}"] = by_hash
            links[f"{top}/{PurePosixPath(path).parent}/by-hash"] = str(PurePosixPath(BY_HASH).parent)
        facts = apt_index.ReleaseFields(listing.repository, listing.suite, tuple(listing.packages), date)
        text = apt_index.release(facts, files)
        texts = {
            f"{top}/Release": text.encode(),
            f"{top}/Release.gpg": self._signer.detach(text.encode()),
            f"{top}/InRelease": self._signer.clearsign(text),
            FILES: "\n".join(sorted(kept)).encode(),
        }
        snapshots.add(snapshot, texts, links, date)

    def _date(self, snapshots: Snapshots, at: float) -> int:
        """Returns a date at least a second after the last one: apt ignores a Release that is not newer than its own."""
        return max([int(at), *(snapshots.date(name) + 1 for name in snapshots.names()[-1:])])

    def _write_key(self, snapshots: Snapshots, listing: SnapshotListing) -> None:
        name = listing.repository
        url, armored = f"{self._url}/{name}", self._signer.public_key(armored=True)
        beside = {
            "key.asc": armored,
            "key.gpg": self._signer.public_key(armored=False),
            f"{name}.sources": apt_index.sources(url, listing.suite, armored.decode()).encode(),
            f"{name}.pref": apt_index.preferences(name).encode(),
            f"{name}.list": apt_index.one_line(url, listing.suite, f"/etc/apt/keyrings/{name}.asc").encode(),
        }
        for file, content in beside.items():
            path, temporary = snapshots.path / file, snapshots.path / f".{file}"
            if not path.exists() or path.read_bytes() != content:
                write(temporary, content, snapshots.date(snapshots.live()))
                temporary.rename(path)

    @contextmanager
    def _disk_errors(self, doing: str) -> Iterator[None]:
        action = f"repositories {self._root}: cannot {doing}"
        with retryable_disk_errors(action, self._root, code="repository-unwritable", full_code="repository-full"):
            try:
                yield
            except OSError:
                self._prepared.clear()  # The directory may have been deleted: prepare it again.
                raise


def _compressed(files: Mapping[str, bytes], live: Path) -> dict[str, bytes]:
    """Returns the indices compressed, `.gz`. One that the live snapshot has is taken from there: compressing takes most
    of the time of a publish."""
    made: dict[bytes, bytes] = {}
    for path, text in files.items():
        if text not in made:
            before = live / f"{path}.gz"
            content = before.read_bytes() if before.is_file() else b""
            made[text] = content if _is_compressed(text, content) else gzip.compress(text, 6, mtime=0)
    return {f"{path}.gz": made[text] for path, text in files.items()}


def _is_compressed(text: bytes, content: bytes) -> bool:
    try:
        return content != b"" and gzip.decompress(content) == text
    except (OSError, EOFError, zlib.error):
        return False


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Permanent(
            f"{name!r} is not a valid name for a repository or suite",
            code="repository-name",
            hint="Use letters, digits, dots, dashes, plus and tilde in the names of sources and dists.",
        )
