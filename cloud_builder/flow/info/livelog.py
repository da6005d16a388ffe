"""Stores live logs: the pieces of the newest attempt of each job that has no whole log yet.

    collection  key            content
    log         job            attempt, number of bytes, last line; parent: LIVE while there are pieces
    log-piece   job@offset     text; parent: job; ordered by offset

A piece may be missing (live logs are best effort) or come again; the whole log is an artifact. When a log has more than
`MAX_LOG_BYTES`, its oldest pieces are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud_builder.model.events import LogAppended
from cloud_builder.ports.state import Document, Documents

LIVE = "live"
MAX_LOG_BYTES = 2 * 1024 * 1024
"""Bytes of live log that are kept for each job."""
CHUNK_BYTES = 64 * 1024
"""Bytes of one answer."""
MAX_LINE = 200
"""Characters of a last line; the rest is dropped."""


@dataclass(frozen=True)
class Chunk:
    """A part of a live log.

    offset   of its first byte; greater than the queried offset when a piece is missing
    next     the offset to query next
    """

    attempt: int
    offset: int
    next: int
    text: str


def append(event: LogAppended, state: Documents) -> None:
    """Adds a piece. The first piece of a newer attempt replaces the log; pieces of an older attempt are ignored."""
    head = state.get("log", event.job_id)
    if head is None or event.attempt > head["attempt"]:
        drop(event.job_id, state)
        head = {"attempt": event.attempt, "bytes": 0, "end": 0, "last_line": ""}
    if event.attempt < head["attempt"] or state.get("log-piece", _key(event.job_id, event.offset)):
        return
    size = len(event.text.encode())
    body = {"offset": event.offset, "size": size, "text": event.text}
    state.put("log-piece", _key(event.job_id, event.offset), body, parent=event.job_id, rank=event.offset)
    end = event.offset + size
    is_newest = end > head["end"]
    line = (_last_line(event.text) if is_newest else "") or head["last_line"]
    stored = head["bytes"] + size
    stored -= _shorten(event.job_id, stored - MAX_LOG_BYTES, state)
    body = {**head, "bytes": stored, "end": max(end, head["end"]), "last_line": line}
    state.put("log", event.job_id, body, parent=LIVE)


def drop(job: str, state: Documents) -> None:
    """Deletes the pieces of a job; its last line stays."""
    for key in [key for key, _ in state.find("log-piece", parent=job)]:
        state.delete("log-piece", key)
    if head := state.get("log", job):
        state.put("log", job, head)


def last_line(job: str, state: Documents) -> str:
    return str((state.get("log", job) or {}).get("last_line", ""))


def read(job: str, attempt: int, offset: int, state: Documents) -> Chunk:
    """Returns the log from `offset` on; from its start when the job has another attempt than the reader's."""
    head = state.get("log", job) or {"attempt": attempt, "end": 0}
    begin = offset if attempt in (0, head["attempt"]) else 0
    parts: list[bytes] = []
    start = position = begin
    size = 0
    for piece in _from(job, begin, state):
        if size >= CHUNK_BYTES - 4 or (parts and piece["offset"] > position):
            break
        data = piece["text"].encode()[max(0, position - piece["offset"]) :][: CHUNK_BYTES - size]
        data = _whole_characters(data)
        start = start if parts else max(begin, piece["offset"])
        position = max(position, piece["offset"]) + len(data)
        size += len(data)
        parts.append(data)
    return Chunk(head["attempt"], start, position, b"".join(parts).decode(errors="ignore"))


def _from(job: str, offset: int, state: Documents) -> list[Document]:
    """Returns the pieces that end after `offset`, the one that contains it first, for at least one chunk."""
    found: list[Document] = []
    size = 0
    for _, piece in state.find("log-piece", parent=job, after=max(-1.0, offset - MAX_LOG_BYTES)):
        if piece["offset"] + piece["size"] > offset:
            found.append(piece)
            size += piece["size"]
        if size > 2 * CHUNK_BYTES:
            break
    return found


def _shorten(job: str, surplus: int, state: Documents) -> int:
    """Drops the oldest pieces until `surplus` bytes are dropped; returns the number of bytes that were."""
    dropped = 0
    if surplus <= 0:
        return 0
    for key, piece in list(state.find("log-piece", parent=job, most=16)):
        if dropped >= surplus:
            break
        state.delete("log-piece", key)
        dropped += piece["size"]
    return dropped


def _whole_characters(data: bytes) -> bytes:
    """Returns the data without an incomplete character at its end: the next chunk begins with that character."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.end == len(data):
            return data[: error.start]
    return data


def _last_line(text: str) -> str:
    lines = text.rstrip().splitlines()
    return lines[-1].strip()[:MAX_LINE] if lines else ""


def _key(job: str, offset: int) -> str:
    return f"{job}@{offset:012d}"
