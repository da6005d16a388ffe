"""The log of one build: its steps with their durations, the whole output, and the line that looks like the cause.

Input: names of steps, output of programs. Output: a log file, pieces for the live log, and the likely cause of a
failure. Not thread-safe: one thread writes.
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
"""Characters of a line that are searched for a cause; the log file has the whole line."""
_MAX_LINES = 5000
"""Lines of a step that are kept in memory; older ones are only in the log file."""
_CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
"""Colours, titles, and characters that move the cursor or change the direction of the text that a person reads."""


class Canceled(Exception):
    """The build was canceled: `cancel` was set, and the running program has ended."""


@contextmanager
def raise_canceled(cancel: Event) -> Iterator[None]:
    """Raises Canceled instead of any error of the block once `cancel` is set: the error is a consequence of it."""
    try:
        yield
    except CloudBuilderError as cause:
        if cancel.is_set():
            raise Canceled from cause
        raise


def unless_canceled(items: Iterable[T], cancel: Event) -> Iterator[T]:
    """Yields the items; raises Canceled before the next one once `cancel` is set."""
    for item in items:
        if cancel.is_set():
            raise Canceled
        yield item


class BuildLog:
    """The log of one build.

    path          the log file, which gets all output
    live          called with each piece of output
    error_rank    how much a line looks like the cause of a failure; 0: not at all
    max_bytes     of the log file; output beyond it is dropped
    """

    def __init__(
        self, path: Path, live: Callable[[bytes], None], error_rank: Callable[[str], int], max_bytes: int
    ) -> None:
        self.path = path
        self.current_step = ""
        self.timings: dict[str, float] = {}
        self.peak_memory = 0
        self._file = path.open("wb")
        self._live, self._error_rank, self._bytes_left = live, error_rank, max_bytes
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._unended_line = b""
        self._cause, self._cause_rank = "", 0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Logs a heading and measures the seconds of the block (`timings`).

        `current_step` keeps its value when the block raises, so that the report can name the step."""
        self.current_step = name
        self.begin_lines()
        self._append(f"==> {name}\n".encode())
        started = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = round(self.timings.get(name, 0.0) + time.monotonic() - started, 3)

    def write(self, piece: bytes) -> None:
        """Appends output of a program."""
        self._append(piece)
        *lines, self._unended_line = (self._unended_line + piece).split(b"\n")
        for line in lines:
            self._add_line(line)
        self._unended_line = self._unended_line[: 4 * LINE_LIMIT]

    def note(self, text: str) -> None:
        """Appends a line of the builder itself."""
        self.write(text.encode() + b"\n")

    def lines(self) -> list[str]:
        """Returns the newest 5,000 lines of the current step, without colours."""
        if self._unended_line:
            self._add_line(self._unended_line)
            self._unended_line = b""
        return list(self._lines)

    def likely_cause(self) -> str:
        """Returns the line of the current step that most likely explains its failure; empty: no line does."""
        self.lines()
        return self._cause

    def begin_lines(self) -> None:
        """Begins `lines` and `likely_cause` anew: those before belong to an earlier program of the step."""
        self._lines.clear()
        self._unended_line = b""
        self._cause, self._cause_rank = "", 0

    def close(self) -> None:
        """Closes the log file. Nothing may be written afterwards."""
        self._file.close()

    def _add_line(self, raw: bytes) -> None:
        text = raw[: 4 * LINE_LIMIT].rstrip(b"\r").decode(errors="replace").rpartition("\r")[2]
        line = _CONTROL.sub("", text)[:LINE_LIMIT].rstrip()
        self._lines.append(line)
        rank = self._error_rank(line)
        if rank > self._cause_rank:
            self._cause, self._cause_rank = line.strip(), rank

    def _append(self, piece: bytes) -> None:
        piece = piece[: max(self._bytes_left, 0)]
        self._bytes_left -= len(piece)
        if piece:
            self._file.write(piece)
            self._live(piece)
