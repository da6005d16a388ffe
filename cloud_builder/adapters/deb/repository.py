"""ports.repository.RepositoryWriter for apt: listings in, signed repositories on disk out.

The order of writing is what keeps readers whole: packages into the pool, indices by hash, the snapshot, then the
pointer. A publish that is killed is done again from the start, and finds most of it done.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cloud_builder.errors import Permanent
from cloud_builder.files.disk_errors import retryable_disk_errors
from cloud_builder.files.durable import sync_directory
from cloud_builder.model.artifact import Artifact, BinaryPackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.planning.publish import apt_index
from cloud_builder.ports.signer import Signer
from cloud_builder.ports.store import ObjectStore

from . import binary_package
from .snapshots import BY_HASH, FILES, Snapshots, number, write

GRACE = 600
"""Seconds that a replaced snapshot is kept at least, for those who are reading it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,150}")


@dataclass(frozen=True)
class _Index:
    """The indices of a listing by path below the suite, and what identifies all of them."""

    files: Mapping[str, bytes]
    digest: str


class AptRepositories:
    """`root`: one directory a repository. `url`: where `root` is served, without a slash at the end; it is only
    written into the snippets for apt. `keep`: snapshots kept at least, the live one included (2 or more)."""

    def __init__(
        self, root: Path, store: ObjectStore, signer: Signer, *, url: str, keep: int = 10, grace: int = GRACE
    ) -> None:
        self._root, self._store, self._signer = root, store, signer
        self._url, self._keep, self._grace = url, keep, grace
        self._stanzas: dict[str, str] = {}
        self._prepared: set[RepositoryName] = set()
        for leftover in root.glob(".inspect-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def inspect(self, artifact: Artifact) -> BinaryPackage:
        stanza = self._stanzas.get(apt_index.pool_path(artifact))
        if stanza is None:
            with (
                self._disk_errors("inspect"),
                tempfile.TemporaryDirectory(prefix=".inspect-", dir=self._made()) as directory,
            ):
                file = Path(directory) / "package.deb"
                self._store.fetch(artifact.sha256, file)
                stanza = self._described(artifact, file)
        return binary_package.binary_package(stanza)

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        _check_name(listing.repository)
        _check_name(listing.suite)
        with self._disk_errors(f"publish {listing.repository}"):
            place = self._place(listing.repository)
            self._add_packages(place, listing)
            index = self._index(listing)
            live = place.live()
            if live.partition("-")[2] != index.digest:
                newest = max([*place.names(), after], key=number)
                live = f"{number(newest) + 1:06d}-{index.digest}"
                self._write(place, listing, index, live, self._date(place, at))
            place.point_at(live)
            self._write_key(place, listing)
            for path in place.prune(self._keep, int(at) - self._grace):
                self._stanzas.pop(path, None)
        return live

    def live(self, repository: RepositoryName) -> str:
        with self._disk_errors(f"read {repository}"):
            return Snapshots(self._root / repository).live()

    def _made(self) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        return self._root

    def _place(self, repository: RepositoryName) -> Snapshots:
        """The repository's directory; at the first use, swept, and its live stanzas read."""
        place = Snapshots(self._made() / repository)
        if repository not in self._prepared:
            place.prepare()
            for index in place.file(place.live(), "dists").glob(f"*/{apt_index.index_path('*')}"):
                self._stanzas.update(apt_index.stanzas(index.read_text()))
            self._prepared.add(repository)
        return place

    def _add_packages(self, place: Snapshots, listing: SnapshotListing) -> None:
        directories = set()
        for artifact in {a.sha256 + a.name: a for listed in listing.packages.values() for a in listed}.values():
            path = apt_index.pool_path(artifact)
            file = place.path / path
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                self._store.fetch(artifact.sha256, file)
                directories |= {file.parent, file.parent.parent, place.path / "pool"}
            if path not in self._stanzas:
                self._described(artifact, file)
        for directory in directories:
            sync_directory(directory)

    def _described(self, artifact: Artifact, file: Path) -> str:
        path, size = apt_index.pool_path(artifact), file.stat().st_size
        stanza = binary_package.packages_entry(binary_package.read(file), path, size, artifact.sha256)
        self._stanzas[path] = stanza
        return stanza

    def _index(self, listing: SnapshotListing) -> _Index:
        files: dict[str, bytes] = {}
        for arch, artifacts in listing.packages.items():
            text = apt_index.packages(self._stanzas[apt_index.pool_path(artifact)] for artifact in artifacts)
            files[apt_index.index_path(arch)] = text.encode()
        names = (f"{path} {hashlib.sha256(files[path]).hexdigest()}" for path in sorted(files))
        identity = "\n".join([listing.repository, listing.suite, self._signer.fingerprint, *names])
        return _Index(files, hashlib.sha256(identity.encode()).hexdigest()[:12])

    def _write(self, place: Snapshots, listing: SnapshotListing, index: _Index, snapshot: str, date: int) -> None:
        files = {**index.files, **{f"{path}.gz": gzip.compress(text, 6, mtime=0) for path, text in index.files.items()}}
        top = f"dists/{listing.suite}"
        links, kept = {}, {apt_index.pool_path(artifact) for listed in listing.packages.values() for artifact in listed}
        for path, content in files.items():
            by_hash = place.add_index(hashlib.sha256(content).hexdigest(), content, date)
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
        place.add(snapshot, texts, links, date)

    def _date(self, place: Snapshots, at: float) -> int:
        """Grows by a second at least: apt ignores a Release that is not newer than the one it has."""
        return max([int(at), *(place.date(name) + 1 for name in place.names()[-1:])])

    def _write_key(self, place: Snapshots, listing: SnapshotListing) -> None:
        name = listing.repository
        url, armored = f"{self._url}/{name}", self._signer.public_key(armored=True)
        beside = {
            "key.asc": armored,
            "key.gpg": self._signer.public_key(armored=False),
            f"{name}.sources": apt_index.sources(url, listing.suite, armored.decode()).encode(),
            f"{name}.list": apt_index.one_line(url, listing.suite, f"/etc/apt/keyrings/{name}.asc").encode(),
        }
        for file, content in beside.items():
            path, temporary = place.path / file, place.path / f".{file}"
            if not path.exists() or path.read_bytes() != content:
                write(temporary, content, place.date(place.live()))
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


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Permanent(
            f"{name!r} cannot name a repository or suite",
            code="repository-name",
            hint="Use letters, digits, dots, dashes, plus and tilde in the names of sources and dists.",
        )
