"""Objects over HTTP: downloaded by digest, verified before they get their name; logs in chunks or whole."""

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
PIECE = 256 * 1024
TAIL = 64 * 1024


def download(artifact: dict[str, Any], directory: Path) -> Path:
    """Fetches an artifact into a directory unless it is there already; returns its path.

    Retryable when the server does not answer, or sends what was not built."""
    path: Path = directory / artifact["name"]
    if path.is_file() and path.stat().st_size == artifact["size"] and _digest(path) == artifact["sha256"]:
        return path
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f".{artifact['name']}.{os.getpid()}.part"
    seen = hashlib.sha256()
    try:
        with part.open("wb") as file:
            for piece in _pieces(artifact["url"]):
                seen.update(piece)
                file.write(piece)
        if seen.hexdigest() != artifact["sha256"]:
            raise Retryable(
                f"{artifact['name']}: {artifact['url']} is not what was built (sha256 {seen.hexdigest()[:12]}…, "
                f"not {artifact['sha256'][:12]}…)",
                code="object-corrupt",
                hint="The object store is damaged; request the unit again.",
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def whole(artifact: dict[str, Any], offset: int = 0) -> Iterator[bytes]:
    """An object's bytes from `offset` on, as they come."""
    if offset < artifact["size"]:
        yield from _pieces(artifact["url"], offset)


def tail_of(mesh: Session, job: str, most: int) -> list[str]:
    """The last lines of a job's log."""
    found = mesh.ask("job", job=job)
    if found["log"] and found["log"]["url"]:
        first = max(0, found["log"]["size"] - TAIL)
        text = b"".join(whole(found["log"], first)).decode(errors="replace")
    else:
        text = str(mesh.ask("log", job=job)["text"])
    return [sanitize(line.rstrip()) for line in text.splitlines()][-most:]


def _pieces(url: str, first: int = 0) -> Iterator[bytes]:
    """From byte `first` on. A server that knows no ranges sends all, of which the beginning is passed over."""
    if not url.startswith(("http://", "https://")):
        raise Retryable(f"{url or 'no address'}: not an HTTP address", code="no-objects-url")
    try:
        asked = urllib.request.Request(url, headers={"Range": f"bytes={first}-"} if first else {})
        with _opener(url).open(asked, timeout=TIMEOUT) as answer:
            skip = first if answer.status != HTTPStatus.PARTIAL_CONTENT else 0
            while piece := answer.read(PIECE):
                yield piece[skip:]
                skip = max(0, skip - len(piece))
    except urllib.error.HTTPError as error:
        raise Retryable(f"{url}: {error.code} {error.reason}", code="object-missing") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        hint = "cb-collector serves it: is it running (cb-ctl status)?"
        raise Retryable(f"{url}: {reason}", code="store-unreachable", hint=hint) from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Never a proxy to this machine itself."""
    host = urlsplit(url).hostname or ""
    own = host in ("localhost", "::1") or host.startswith("127.")
    return urllib.request.build_opener(urllib.request.ProxyHandler({} if own else None))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
