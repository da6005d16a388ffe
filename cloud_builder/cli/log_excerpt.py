"""What the end of a job's log tells of a failure: the first line that looks like the cause, and the last ones."""

from __future__ import annotations

import re
from typing import Any, TypedDict

from cloud_builder.adapters.deb.log_patterns import error_rank
from cloud_builder.errors import CloudBuilderError

from .download import object_bytes
from .session import Session
from .terminal import LogSanitizer, sanitize

MOST_BYTES = 8 * 1024 * 1024
"""Of the log's end: a failed step is in it, and a terminal should not wait for the rest."""
LAST_LINES = 8
LINE = 500
"""Characters of a line."""
_STEP = "==> "
_VERDICTS = tuple(f"{_STEP}{outcome}" for outcome in ("success", "failure", "error", "canceled"))
"""What a runner writes before each step, and at the end how it ended (builder/package.py)."""


class LogEnd(TypedDict):
    """`cause` empty: no line looks like one. `unread`: why the log could not be read, or empty."""

    cause: str
    last: list[str]
    unread: str


def log_end(mesh: Session, job: str) -> LogEnd:
    """Of the log of a job that has ended; it may be an artifact, live, or gone."""
    try:
        found = mesh.ask("job", job=job)
        return excerpt(_text(mesh, found), str(found.get("step") or ""))
    except CloudBuilderError as unread:
        return LogEnd(cause="", last=[], unread=unread.message)


def last_line(mesh: Session, job: str) -> LogEnd:
    """Of the live log of a job that is being built: its last line."""
    line = str(mesh.ask("job", job=job).get("last_line") or "")
    return LogEnd(cause="", last=[sanitize(line)] if line else [], unread="")


def excerpt(text: str, step: str = "") -> LogEnd:
    """Of a log's text. `step`: the one that failed; what was printed before it is not looked at."""
    lines = [sanitize(line.rstrip())[:LINE] for line in text.splitlines()]
    begins = lines.index(_STEP + step) + 1 if step and _STEP + step in lines else 0
    lines = [line for line in lines[begins:] if line.strip() and not line.startswith(_VERDICTS)]
    ranks = [error_rank(line) for line in lines]
    best = max(ranks, default=0)
    return LogEnd(cause=lines[ranks.index(best)].strip() if best else "", last=lines[-LAST_LINES:], unread="")


def _text(mesh: Session, job: dict[str, Any]) -> str:
    if job["log"] and job["log"]["url"]:
        data = b"".join(object_bytes(job["log"], max(0, job["log"]["size"] - MOST_BYTES)))
    else:
        data = str(mesh.ask("log", job=job["job_id"])["text"]).encode()
    return _without_colours(data)


def _without_colours(data: bytes) -> str:
    """Escape sequences are not what a build says."""
    text = LogSanitizer().feed(data).decode(errors="replace")
    return re.sub(r"\x1b\[[0-9;:]*m", "", text)
