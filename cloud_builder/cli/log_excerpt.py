"""Searches the end of a job's log for the cause of a failure: the first line that looks like it, and the last lines."""

from __future__ import annotations

import re
from typing import Any, TypedDict

from cloud_builder.adapters.deb.log_patterns import error_rank
from cloud_builder.errors import CloudBuilderError

from .download import object_bytes
from .session import Session
from .terminal import LogSanitizer, sanitize

MAX_BYTES = 8 * 1024 * 1024
"""Of the log's end. The failed step is in it; downloading more would only take longer."""
LAST_LINES = 8
MAX_LINE = 500
"""Characters; the rest of a longer line is cut."""
_STEP = "==> "
_OUTCOME_LINES = tuple(f"{_STEP}{outcome}" for outcome in ("success", "failure", "error", "canceled"))
"""A runner writes `==> STEP` before each step, and `==> OUTCOME` at the end (builder/package.py)."""


class LogEnd(TypedDict):
    """The end of a log.

    cause   the line that looks like the cause; empty if there is none
    last    the last lines
    unread  why the log could not be read; empty if it was read
    """

    cause: str
    last: list[str]
    unread: str


def log_end(mesh: Session, job: str) -> LogEnd:
    """Returns the end of a finished job's log. The log can be an artifact, live in cb-info, or deleted."""
    try:
        found = mesh.query("job", job=job)
        return excerpt(_text(mesh, found), str(found.get("step") or ""))
    except CloudBuilderError as unread:
        return LogEnd(cause="", last=[], unread=unread.message)


def last_line(mesh: Session, job: str) -> LogEnd:
    """Returns the last line of the live log of a running job."""
    line = str(mesh.query("job", job=job).get("last_line") or "")
    return LogEnd(cause="", last=[sanitize(line)] if line else [], unread="")


def excerpt(text: str, step: str = "") -> LogEnd:
    """Returns the end of a log's text. `step`: the failed one; lines before it are ignored."""
    lines = [sanitize(line.rstrip())[:MAX_LINE] for line in text.splitlines()]
    begins = lines.index(_STEP + step) + 1 if step and _STEP + step in lines else 0
    lines = [line for line in lines[begins:] if line.strip() and not line.startswith(_OUTCOME_LINES)]
    ranks = [error_rank(line) for line in lines]
    best = max(ranks, default=0)
    return LogEnd(cause=lines[ranks.index(best)].strip() if best else "", last=lines[-LAST_LINES:], unread="")


def _text(mesh: Session, job: dict[str, Any]) -> str:
    if job["log"] and job["log"]["url"]:
        data = b"".join(object_bytes(job["log"], max(0, job["log"]["size"] - MAX_BYTES)))
    else:
        data = str(mesh.query("log", job=job["job_id"])["text"]).encode()
    return _without_colours(data)


def _without_colours(data: bytes) -> str:
    """Returns the text of a log without any escape sequences."""
    text = LogSanitizer().feed(data).decode(errors="replace")
    return re.sub(r"\x1b\[[0-9;:]*m", "", text)
