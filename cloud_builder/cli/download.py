"""Downloads objects over HTTP. A file gets its name only after its digest was verified."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloud_builder.errors import Retryable

from .session import Session
from .terminal import sanitize

TIMEOUT = 30.0
"""Seconds without a byte from the server."""
CHUNK_BYTES = 256 * 1024
TAIL_BYTES = 64 * 1024
"""Of a log's end, in which its last lines are searched."""


def download(artifact: dict[str, Any], directory: Path) -> Path:
    """Downloads an artifact into a directory unless it is there already; returns its path.

    Retryable when the server does not answer, or when the digest is not that of the artifact."""
    path: Path = directory / artifact["name"]
    if path.is_file() and path.stat().st_size == artifact["size"] and _digest(path) == artifact["sha256"]:
        return path
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f".{artifact['name']}.{os.getpid()}.part"
    digest = hashlib.sha256()
    try:
        with part.open("wb") as file:
            for chunk in _chunks(artifact["url"]):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != artifact["sha256"]:
            raise Retryable(
                f"{artifact['name']}: {artifact['url']} has sha256 {digest.hexdigest()[:12]}…, "
                f"not {artifact['sha256'][:12]}…",
                code="object-corrupt",
                hint="The object store is damaged: request the unit again.",
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def object_bytes(artifact: dict[str, Any], offset: int = 0) -> Iterator[bytes]:
    """Yields the bytes of an object from `offset` on, in chunks."""
    if offset < artifact["size"]:
        yield from _chunks(artifact["url"], offset)


def bytes_at(url: str) -> bytes:
    """Returns what is at an address. Retryable when the server does not answer."""
    return b"".join(_chunks(url))


def log_tail(mesh: Session, job: str, most: int) -> list[str]:
    """Returns the last `most` lines of a job's log."""
    found = mesh.query("job", job=job)
    if found["log"] and found["log"]["url"]:
        first = max(0, found["log"]["size"] - TAIL_BYTES)
        text = b"".join(object_bytes(found["log"], first)).decode(errors="replace")
    else:
        text = str(mesh.query("log", job=job)["text"])
    return [sanitize(line.rstrip()) for line in text.splitlines()][-most:]


def _chunks(url: str, first: int = 0) -> Iterator[bytes]:
    """Yields the bytes from `first` on. Skips the beginning when the server ignores the range and sends everything."""
    if not url.startswith(("http://", "https://")):
        raise Retryable(f"{url or 'no address'}: not an HTTP address", code="no-objects-url")
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={first}-"} if first else {})
        with _opener(url).open(request, timeout=TIMEOUT) as answer:
            skip = first if answer.status != HTTPStatus.PARTIAL_CONTENT else 0
            while chunk := answer.read(CHUNK_BYTES):
                yield chunk[skip:]
                skip = max(0, skip - len(chunk))
    except urllib.error.HTTPError as error:
        raise Retryable(f"{url}: {error.code} {error.reason}", code="object-missing") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        hint = "cb-collector serves it: is it running (cb-ctl status)?"
        raise Retryable(f"{url}: {reason}", code="store-unreachable", hint=hint) from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Returns an opener that uses no proxy for addresses of this machine."""
    host = urlsplit(url).hostname or ""
    is_local = host in ("localhost", "::1") or host.startswith("127.")
    return urllib.request.build_opener(urllib.request.ProxyHandler({} if is_local else None))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
