"""The live log of one attempt: the build's thread writes bytes, each tick of the flow emits pieces.

Best effort: a build that prints faster than `BACKLOG_BYTES` allows loses the middle of its live log, never of its whole
log, which is an artifact. `offset` is where a piece belongs, so that readers can see where one is missing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence

from cloud_builder.model.events import LogAppended
from cloud_builder.model.ids import JobId

PIECE_BYTES = 32 * 1024
BACKLOG_BYTES = 512 * 1024
"""Output that waits to be emitted; the oldest bytes beyond it are dropped."""
_SURROGATE = re.compile("[\udc80-\udcff]")
"""What decoding with surrogateescape makes of a byte that belongs to no UTF-8 character."""


class LiveLog:
    """Thread-safe for one writer and one reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._offset = 0

    def write(self, piece: bytes) -> None:
        with self._lock:
            self._buffer += piece
            surplus = len(self._buffer) - BACKLOG_BYTES
            if surplus > 0:
                del self._buffer[:surplus]
                self._offset += surplus

    @property
    def is_behind(self) -> bool:
        """True when more output waits than one piece takes."""
        return len(self._buffer) > PIECE_BYTES

    def take(self, job_id: JobId, attempt: int) -> Sequence[LogAppended]:
        """Removes and returns the next piece: whole lines, or a part of a line that is longer than a piece.

        Called for each build in each tick; mostly there is none, and then no lock is taken."""
        if not self._buffer:
            return ()
        with self._lock:
            cut = self._buffer.rfind(b"\n", 0, PIECE_BYTES) + 1
            if not cut and len(self._buffer) > PIECE_BYTES:
                cut = _character_boundary(self._buffer, PIECE_BYTES)
            piece, offset = self._cut(cut)
        return [_event(job_id, attempt, offset, piece)] if piece else ()

    def flush(self, job_id: JobId, attempt: int) -> Iterator[LogAppended]:
        """Removes and yields all that is left, at the end of the attempt."""
        while True:
            with self._lock:
                size = len(self._buffer)
                piece, offset = self._cut(
                    size if size <= PIECE_BYTES else _character_boundary(self._buffer, PIECE_BYTES)
                )
            if not piece:
                return
            yield _event(job_id, attempt, offset, piece)

    def _cut(self, size: int) -> tuple[bytes, int]:
        piece, offset = bytes(self._buffer[:size]), self._offset
        del self._buffer[:size]
        self._offset += size
        return piece, offset


def _character_boundary(text: bytearray, size: int) -> int:
    """Returns `size` or up to three bytes less, so that the cut divides no UTF-8 character (10xxxxxx continues one)."""
    for cut in range(size, size - 4, -1):
        if text[cut] & 0xC0 != 0x80:
            return cut
    return size


def _event(job_id: JobId, attempt: int, offset: int, piece: bytes) -> LogAppended:
    """Makes each byte that belongs to no character one question mark, because offsets count bytes."""
    text = _SURROGATE.sub("?", piece.decode("utf-8", "surrogateescape"))
    return LogAppended(job_id=job_id, attempt=attempt, offset=offset, text=text)
