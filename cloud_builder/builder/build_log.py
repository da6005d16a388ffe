"""What one build tells while it goes on: its steps with their times, its whole log, and what in it looks like a cause.

In come step names and the output of programs; out go a log file, live pieces, and, when the build fails, the words to
say why. One thread writes.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TypeVar

from cloud_builder.errors import CloudBuilderError

T = TypeVar("T")

LINE_LIMIT = 2000
"""Characters of a line that are looked at; the log has all of it."""
_LINES = 5000
_CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
"""Colours, titles, and characters that would move the cursor or turn the direction of what a person reads."""


class Canceled(Exception):
    """Somebody set `cancel`, and what ran has ended."""


@contextmanager
def raise_canceled(cancel: Event) -> Iterator[None]:
    """Raises Canceled instead of any error of the block once `cancel` is set: the error is a consequence of it."""
    try:
        yield
    except CloudBuilderError as cause:
        if cancel.is_set():
            raise Canceled from cause
        raise


def unless_canceled(things: Iterable[T], cancel: Event) -> Iterator[T]:
    """Raises Canceled instead of the next one."""
    for thing in things:
        if cancel.is_set():
            raise Canceled
        yield thing


class BuildLog:
    """Of one build. `log`: file that gets everything; `live`: called with each piece; `most`: bytes of the log."""

    def __init__(self, log: Path, live: Callable[[bytes], None], rank: Callable[[str], int], most: int) -> None:
        self.log = log
        self.current_step = ""
        self.timings: dict[str, float] = {}
        self.peak_memory = 0
        self._file = log.open("wb")
        self._live, self._rank, self._left = live, rank, most
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._unended = b""
        self._cause, self._cause_rank = "", 0

    @contextmanager
    def step(self, step: str) -> Iterator[None]:
        """One step: a line in the log, its seconds in `timings`; `current_step` stays named when it raises."""
        self.current_step = step
        self._begin_lines()
        self._put(f"==> {step}\n".encode())
        started = time.monotonic()
        try:
            yield
        finally:
            self.timings[step] = round(self.timings.get(step, 0.0) + time.monotonic() - started, 3)

    def write(self, piece: bytes) -> None:
        """Output of a program."""
        self._put(piece)
        *lines, self._unended = (self._unended + piece).split(b"\n")
        for line in lines:
            self._look_at(line)
        self._unended = self._unended[: 4 * LINE_LIMIT]

    def note(self, text: str) -> None:
        """A line of our own."""
        self.write(text.encode() + b"\n")

    def lines(self) -> list[str]:
        """What was printed in this step, the newest 5,000 lines of it, without colours."""
        if self._unended:
            self._look_at(self._unended)
            self._unended = b""
        return list(self._lines)

    def likely_cause(self) -> str:
        """The line of this step that most likely tells why it failed; empty: none does."""
        self.lines()
        return self._cause

    def close(self) -> None:
        self._file.close()

    def _begin_lines(self) -> None:
        self._lines.clear()
        self._unended = b""
        self._cause, self._cause_rank = "", 0

    def _look_at(self, raw: bytes) -> None:
        text = raw[: 4 * LINE_LIMIT].rstrip(b"\r").decode(errors="replace").rpartition("\r")[2]
        line = _CONTROL.sub("", text)[:LINE_LIMIT].rstrip()
        self._lines.append(line)
        rank = self._rank(line)
        if rank > self._cause_rank:
            self._cause, self._cause_rank = line.strip(), rank

    def _put(self, piece: bytes) -> None:
        piece = piece[: max(self._left, 0)]
        self._left -= len(piece)
        if piece:
            self._file.write(piece)
            self._live(piece)
