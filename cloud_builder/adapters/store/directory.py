"""Implements `ports.store.ObjectStore` as a directory that processes of one machine or network file system share.

    objects/ab/abcdef…   one file for each object, read-only, complete (written in tmp/, synced, renamed);
                         its mtime is when it was last used
    names/<name>         a digest and a newline, replaced by rename
    tmp/                 files being written; those of killed writers are deleted after a day

Objects are read-only for all users; the operator decides who may enter the directories (umask, chmod of the top).
Files are copied in pieces, so that their size does not matter for memory.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cloud_builder.errors import Bug, Permanent
from cloud_builder.files.disk_errors import retryable_disk_errors
from cloud_builder.files.durable import replace_durably, sync_file
from cloud_builder.model.ids import Digest

PIECE_BYTES = 1024 * 1024
LEFTOVER_RETENTION = 86400.0
"""Seconds until a file in tmp/ counts as left behind by a killed writer."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:@-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._+~:@-]{0,199})*")


class DirectoryStore:
    """See the port. `path` is created if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._objects, self._names, self._tmp = path / "objects", path / "names", path / "tmp"
        with self._disk_errors("prepare"):
            for directory in (self._objects, self._names, self._tmp):
                directory.mkdir(parents=True, exist_ok=True)
            self._sweep()

    def put(self, path: Path) -> tuple[Digest, int]:
        with path.open("rb") as source:
            digest, size = _read(source)
            if self._is_stored(digest, size):
                self.touch(digest)
                return digest, size
            source.seek(0)
            with self._disk_errors(f"store {path.name}"), self._written() as (file, temporary):
                digest, size = _copy(source, file)
                os.fchmod(file.fileno(), 0o444)
                sync_file(file)
                final = self._file(digest)
                final.parent.mkdir(exist_ok=True)
                replace_durably(temporary, final)
        return digest, size

    def has(self, digest: Digest) -> bool:
        with self._disk_errors(f"look for {digest}"):
            return _DIGEST.fullmatch(digest) is not None and self._file(digest).is_file()

    def size(self, digest: Digest) -> int:
        with self._found(digest) as file:
            return file.stat().st_size

    def open(self, digest: Digest) -> BinaryIO:
        with self._found(digest) as file:
            return file.open("rb")

    def fetch(self, digest: Digest, into: Path) -> None:
        temporary = into.with_name(f".{into.name[:200]}.{os.urandom(6).hex()}")
        try:
            with self._found(digest) as file:
                actual = _link(file, temporary) or _copy_out(file, temporary)
            _compare(digest, actual)
            temporary.replace(into)
        finally:
            # It exists after a failure, and after a rename between two links of one object, which does nothing.
            temporary.unlink(missing_ok=True)

    def verify(self, digest: Digest) -> None:
        with self.open(digest) as file, self._disk_errors(f"read {digest}"):
            actual, _ = _read(file)
        _compare(digest, actual)

    def touch(self, digest: Digest) -> bool:
        try:
            os.utime(self._file(digest))
        except FileNotFoundError:
            return True
        except PermissionError:
            return False
        return True

    def prune(self, prefix: str, before: float, keep: Collection[str]) -> int:
        freed, named = 0, self._named_digests()
        with self._disk_errors(f"prune {prefix}"):
            for file in (self._objects / prefix).glob("*"):
                with suppress(FileNotFoundError):
                    status = file.stat()
                    if status.st_mtime < before and file.name not in keep and file.name not in named:
                        file.unlink()
                        freed += status.st_size
        return freed

    def _named_digests(self) -> set[str]:
        with self._disk_errors("read the names"):
            return {file.read_text().strip() for file in self._names.rglob("*") if file.is_file()}

    def name(self, name: str, digest: Digest) -> None:
        final = self._name_file(name)
        with self._disk_errors(f"name {name}"), self._written() as (file, temporary):
            file.write(f"{digest}\n".encode())
            os.fchmod(file.fileno(), 0o644)
            sync_file(file)
            final.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(temporary, final)

    def named(self, name: str) -> Digest | None:
        file = self._name_file(name)
        with self._disk_errors(f"read the name {name}"):
            try:
                text = file.read_text().strip()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Digest(text) if _DIGEST.fullmatch(text) else None

    def _file(self, digest: Digest) -> Path:
        return self._objects / digest[:2] / digest

    def _name_file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Bug(f"{name!r} is not allowed as the name of an object", code="object-name")
        return self._names / name

    def _is_stored(self, digest: Digest, size: int) -> bool:
        """False also for a file of the wrong size: it is damaged, and storing the object again replaces it."""
        with self._disk_errors(f"look for {digest}"):
            try:
                return self._file(digest).stat().st_size == size
            except FileNotFoundError:
                return False

    @contextmanager
    def _found(self, digest: Digest) -> Iterator[Path]:
        if not self.has(digest):
            raise Permanent(
                f"object {digest} is not in the store",
                code="object-missing",
                hint="It was removed, or its writer uses another store: compare the setting `store` of the daemons.",
            )
        with self._disk_errors(f"read {digest}"):
            yield self._file(digest)

    @contextmanager
    def _written(self) -> Iterator[tuple[BinaryIO, Path]]:
        descriptor, name = tempfile.mkstemp(dir=self._tmp)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _disk_errors(self, doing: str) -> AbstractContextManager[None]:
        action = f"object store {self._path}: cannot {doing}"
        return retryable_disk_errors(action, self._path, code="store-unreachable", full_code="store-full")

    def _sweep(self) -> None:
        oldest = time.time() - LEFTOVER_RETENTION
        for leftover in self._tmp.iterdir():
            with suppress(FileNotFoundError):
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()


def _read(source: BinaryIO) -> tuple[Digest, int]:
    state, size = hashlib.sha256(), 0
    while piece := source.read(PIECE_BYTES):
        state.update(piece)
        size += len(piece)
    return Digest(state.hexdigest()), size


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[Digest, int]:
    state, size = hashlib.sha256(), 0
    while piece := source.read(PIECE_BYTES):
        state.update(piece)
        target.write(piece)
        size += len(piece)
    return Digest(state.hexdigest()), size


def _link(file: Path, into: Path) -> Digest | None:
    """Makes a hard link and returns the digest of its content.

    None: a link is not possible. The target is on another file system, the file has too many links, or the kernel
    forbids links to files of other users (fs.protected_hardlinks)."""
    try:
        into.hardlink_to(file)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            return None
        raise
    with into.open("rb") as linked:
        return _read(linked)[0]


def _copy_out(file: Path, into: Path) -> Digest:
    with file.open("rb") as source, into.open("wb") as target:
        return _copy(source, target)[0]


def _compare(digest: Digest, actual: Digest) -> None:
    if digest != actual:
        raise Permanent(
            f"object {digest} is damaged in the store: its content has the sha256 {actual}",
            code="object-corrupt",
            hint="Check the disk of the store, delete the file, and build the job again that wrote it.",
        )
