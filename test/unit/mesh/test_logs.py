"""The form of log lines: people grep them and programs read them."""

from __future__ import annotations

import json
import logging

import pytest

from cloud_builder.mesh.logs import JsonLines, LogFmt


def record(message: str, **extra) -> logging.LogRecord:
    made = logging.getLogger("cb.test").makeRecord("cb.test", logging.INFO, "f", 1, message, (), None, extra=extra)
    made.created = 0.0
    return made


@pytest.mark.parametrize(
    ("message", "extra", "line"),
    [
        ("started", {}, "started"),
        ("job assigned", {"attempt": 2, "job": "r.1"}, "job assigned job=r.1 attempt=2"),
        ("x", {"zone": "a", "request": "r"}, "x request=r zone=a"),
        ("x", {"reason": 'a "b" c'}, r'x reason="a \"b\" c"'),
        ("x", {"reason": "two\nlines"}, r'x reason="two\nlines"'),
        ("x", {"none": None, "empty": ""}, 'x empty=""'),
        ("x", {"seconds": 1.23456}, "x seconds=1.235"),
        ("two\nlines", {}, "two | lines"),
    ],
)
def test_a_line_is_time_level_daemon_event_and_fields(message, extra, line):
    assert LogFmt("runner-1").format(record(message, **extra)) == f"1970-01-01T00:00:00.000Z info    runner-1 {line}"


def test_json_lines_hold_the_same(capsys):
    line = json.loads(JsonLines("scheduler").format(record("job assigned", job="r.1", attempt=2)))
    assert line == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "daemon": "scheduler",
        "event": "job assigned",
        "job": "r.1",
        "attempt": 2,
    }
