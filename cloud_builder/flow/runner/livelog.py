"""The live log of one attempt: bytes come from the build's thread, pieces go out with each tick.

Best effort by design: a build that prints faster than people read loses the middle of its live log, never of its whole
log (an artifact). `offset` tells readers where a piece belongs, and so where one is missing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence

from cloud_builder.model.events import LogAppended
from cloud_builder.model.ids import JobId

PIECE = 32 * 1024
BACKLOG = 512 * 1024
_SURROGATE = re.compile("[\udc80-\udcff]")
"""What decoding with surrogateescape makes of each byte that belongs to no letter."""


class LiveLog:
    """Thread-safe: one writer, one taker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._offset = 0

    def write(self, piece: bytes) -> None:
        with self._lock:
            self._buffer += piece
            surplus = len(self._buffer) - BACKLOG
            if surplus > 0:
                del self._buffer[:surplus]
                self._offset += surplus

    @property
    def is_behind(self) -> bool:
        """More waits than one piece holds."""
        return len(self._buffer) > PIECE

    def take(self, job_id: JobId, attempt: int) -> Sequence[LogAppended]:
        """The next pieces, whole lines where there are any. Asked of every build in every round: mostly none."""
        if not self._buffer:
            return ()
        with self._lock:
            cut = self._buffer.rfind(b"\n", 0, PIECE) + 1
            if not cut and len(self._buffer) > PIECE:
                cut = _character_boundary(self._buffer, PIECE)
            piece, offset = self._cut(cut)
        return [_event(job_id, attempt, offset, piece)] if piece else ()

    def flush(self, job_id: JobId, attempt: int) -> Iterator[LogAppended]:
        """All that is left, at the end of the attempt."""
        while True:
            with self._lock:
                rest = len(self._buffer)
                piece, offset = self._cut(rest if rest <= PIECE else _character_boundary(self._buffer, PIECE))
            if not piece:
                return
            yield _event(job_id, attempt, offset, piece)

    def _cut(self, size: int) -> tuple[bytes, int]:
        piece, offset = bytes(self._buffer[:size]), self._offset
        del self._buffer[:size]
        self._offset += size
        return piece, offset


def _character_boundary(text: bytearray, size: int) -> int:
    """So many bytes or a few less, so that the next piece does not begin within a letter (UTF-8: 10xxxxxx goes on)."""
    for cut in range(size, size - 4, -1):
        if text[cut] & 0xC0 != 0x80:
            return cut
    return size


def _event(job_id: JobId, attempt: int, offset: int, piece: bytes) -> LogAppended:
    """Readers count bytes: one that belongs to no letter is shown as one question mark."""
    text = _SURROGATE.sub("?", piece.decode("utf-8", "surrogateescape"))
    return LogAppended(job_id=job_id, attempt=attempt, offset=offset, text=text)
