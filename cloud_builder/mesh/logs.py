"""Structured logs on stderr: one line a decision, `time level daemon event key=value…`, or JSON.

A module logs with `logging.getLogger("cb.<daemon>").info("job assigned", extra={"job": …, "attempt": …})`; each field
of `extra` is shown. Programs read the lines, too: field names are stable, and values with blanks are quoted. Each line
is written at once, except with `batch_by_round`, which writes the lines of one loop iteration together.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, TextIO

from cloud_builder.ports.health import HealthReporter

ROOT = "cb"
_ALWAYS = len(vars(logging.makeLogRecord({})))
"""Number of fields that each record has; they come before those of `extra`."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FIRST = ("request", "job", "attempt")
_QUOTED = re.compile(r'[ "=\n\t\\]')


def configure(daemon: str, level: str = "info", *, as_json: bool = False) -> None:
    """Writes the logs of this process to stderr under the daemon's name. `as_json`: one JSON object a line."""
    handler = LineHandler(sys.stderr)
    handler.setFormatter(JsonLines(daemon) if as_json else LogFmt(daemon))
    logger = logging.getLogger(ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    # Thread, process and source line are in no log line, so they need not be determined for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  # "Optimization" in the logging HOWTO of Python


class LineHandler(logging.StreamHandler[TextIO]):
    """A handler that writes each line at once, or buffers those of one thread.

    `buffered_thread`: the id of that thread; None: none. Its lines below WARNING are buffered until `flush`, until any
    other line, or until the end of the process."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.buffered_thread: int | None = None
        self._buffered: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._buffered.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
        if record.levelno >= logging.WARNING or self.buffered_thread != threading.get_ident():
            self.flush()

    def flush(self) -> None:
        """Writes the buffered lines. Never raises: an error of stderr cannot be reported anywhere."""
        if self._buffered:
            self.acquire()
            lines, self._buffered = self._buffered, []
            with suppress(OSError, ValueError):
                self.stream.write("".join(lines))
                self.stream.flush()
            self.release()


class BatchedLogs:
    """A health reporter that also writes the buffered lines of the loop's thread at each beat.

    Lines are buffered from the first connection until the daemon is asked to stop."""

    def __init__(self, health: HealthReporter, lines: LineHandler) -> None:
        self._health, self._lines = health, lines

    def ready(self) -> None:
        self._lines.buffered_thread = threading.get_ident()
        self._lines.flush()
        self._health.ready()

    def beat(self, status: str) -> None:
        self._lines.flush()
        self._health.beat(status)

    def stopping(self) -> None:
        self._lines.buffered_thread = None
        self._lines.flush()
        self._health.stopping()


def batch_by_round(health: HealthReporter) -> HealthReporter:
    """Buffers log lines and writes them once for each loop iteration.

    In a process with many threads each write can hand over the interpreter lock; batching avoids that wait."""
    for handler in logging.getLogger(ROOT).handlers:
        if isinstance(handler, LineHandler):
            return BatchedLogs(health, handler)
    return health


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Returns the fields of `extra`, with request, job and attempt first, without those that are None."""
    given = islice(vars(record).items(), _ALWAYS, None)
    extra = {key: value for key, value in given if key not in _STANDARD and value is not None}
    return {**{key: extra[key] for key in _FIRST if key in extra}, **extra}


class LogFmt(logging.Formatter):
    """A formatter for people and grep."""

    def __init__(self, daemon: str) -> None:
        super().__init__()
        self._daemon = daemon

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname.lower():7} {self._daemon} {_flat(record.getMessage())}"
        tail = "".join(f" {key}={_value(value)}" for key, value in fields(record).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return head + tail + trace


class JsonLines(logging.Formatter):
    """A formatter for log collectors."""

    def __init__(self, daemon: str) -> None:
        super().__init__()
        self._daemon = daemon

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "daemon": self._daemon,
            "event": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat()


def _flat(text: str) -> str:
    return text.replace("\n", " | ")


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if not text or _QUOTED.search(text) else text
