"""Structured logs: one line a decision, `time level daemon event key=value…` on stderr, or JSON.

Any module says `logging.getLogger("cb.<daemon>").info("job assigned", extra={"job": …, "attempt": …})`; every field
of `extra` is shown. Programs read the lines too: field names are stable, values with blanks are quoted. Each line is
written at once, but where `by_rounds` says that those of one round of the loop may go together.
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
"""Fields of each record, which come before those of `extra`."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FIRST = ("request", "job", "attempt")
_QUOTED = re.compile(r'[ "=\n\t\\]')


def configure(daemon: str, level: str = "info", *, as_json: bool = False) -> None:
    """Sends the logs of this process to stderr under the daemon's name. `as_json`: one JSON object a line."""
    handler = LineHandler(sys.stderr)
    handler.setFormatter(JsonLines(daemon) if as_json else LogFmt(daemon))
    logger = logging.getLogger(ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    # What no line of ours shows need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  # "Optimization" in the logging HOWTO of Python


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes each line at once; but while `together` is a thread, its lines below WARNING wait for `flush`, for any
    other line, or for the end of the process."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.together: int | None = None
        self._waiting: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
        if record.levelno >= logging.WARNING or self.together != threading.get_ident():
            self.flush()

    def flush(self) -> None:
        """Never raises: where nobody reads any more, nobody can be told."""
        if self._waiting:
            self.acquire()
            lines, self._waiting = self._waiting, []
            with suppress(OSError, ValueError):
                self.stream.write("".join(lines))
                self.stream.flush()
            self.release()


class BatchedLogs:
    """A pulse that writes the lines of the loop's thread at each beat, from the first connection to the order to
    stop."""

    def __init__(self, pulse: HealthReporter, lines: LineHandler) -> None:
        self._pulse, self._lines = pulse, lines

    def ready(self) -> None:
        self._lines.together = threading.get_ident()
        self._lines.flush()
        self._pulse.ready()

    def beat(self, status: str) -> None:
        self._lines.flush()
        self._pulse.beat(status)

    def stopping(self) -> None:
        self._lines.together = None
        self._lines.flush()
        self._pulse.stopping()


def batch_by_round(pulse: HealthReporter) -> HealthReporter:
    """For a loop with threads beside it and short rounds: to write is to let another thread in, and to wait for it."""
    for handler in logging.getLogger(ROOT).handlers:
        if isinstance(handler, LineHandler):
            return BatchedLogs(pulse, handler)
    return pulse


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` brought, with request, job and attempt in front; None is left out."""
    given = islice(vars(record).items(), _ALWAYS, None)
    extra = {key: value for key, value in given if key not in _STANDARD and value is not None}
    return {**{key: extra[key] for key in _FIRST if key in extra}, **extra}


class LogFmt(logging.Formatter):
    """For people and grep."""

    def __init__(self, daemon: str) -> None:
        super().__init__()
        self._daemon = daemon

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname.lower():7} {self._daemon} {_flat(record.getMessage())}"
        tail = "".join(f" {key}={_value(value)}" for key, value in fields(record).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return head + tail + trace


class JsonLines(logging.Formatter):
    """For log collectors."""

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
