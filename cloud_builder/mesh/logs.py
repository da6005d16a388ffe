"""Structured logs: one line a decision, `time level daemon event key=value…` on stderr, or JSON.

Any module says `logging.getLogger("cb.<daemon>").info("job assigned", extra={"job": …, "attempt": …})`; every field
of `extra` is shown. Programs read the lines too: field names are stable, values with blanks are quoted.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

ROOT = "cb"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FIRST = ("request", "job", "attempt")
_QUOTED = re.compile(r'[ "=\n\t\\]')


def configure(daemon: str, level: str = "info", *, as_json: bool = False) -> None:
    """Sends the logs of this process to stderr under the daemon's name. `as_json`: one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(daemon) if as_json else LogFmt(daemon))
    logger = logging.getLogger(ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    # What no line of ours shows need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra` brought, with request, job and attempt in front; None is left out."""
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD and value is not None}
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
