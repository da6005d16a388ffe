"""The form of log lines, as text and as JSON, and when they are written."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from threading import Thread

import pytest

from cloud_builder.mesh import logs
from cloud_builder.mesh.logs import BatchedLogs, JsonLines, LineHandler, LogFmt
from cloud_builder.ports.health import NullReporter


def record(message: str, **extra) -> logging.LogRecord:
    entry = logging.getLogger("cb.test").makeRecord("cb.test", logging.INFO, "f", 1, message, (), None, extra=extra)
    entry.created = 0.0
    return entry


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
def test_line_has_time_level_daemon_event_and_fields(message, extra, line):
    assert LogFmt("runner-1").format(record(message, **extra)) == f"1970-01-01T00:00:00.000Z info    runner-1 {line}"


def test_json_line_has_the_same_fields(capsys):
    line = json.loads(JsonLines("scheduler").format(record("job assigned", job="r.1", attempt=2)))
    assert line == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "daemon": "scheduler",
        "event": "job assigned",
        "job": "r.1",
        "attempt": 2,
    }


@pytest.fixture
def lines():
    return LineHandler(io.StringIO())


@pytest.fixture
def log(lines):
    logger = logging.Logger("cb.test")
    logger.addHandler(lines)
    return logger


def test_line_is_written_at_once(log, lines):
    log.info("one")
    assert lines.stream.getvalue() == "one\n"


def test_lines_of_one_iteration_are_written_together(log, lines):
    health = BatchedLogs(NullReporter(), lines)
    health.ready()
    log.info("one")
    log.info("two")
    assert lines.stream.getvalue() == ""
    health.beat("at work")
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_warning_is_written_at_once_after_the_buffered_lines(log, lines):
    BatchedLogs(NullReporter(), lines).ready()
    log.info("one")
    log.warning("two")
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_line_of_another_thread_is_written_at_once(log, lines):
    BatchedLogs(NullReporter(), lines).ready()
    log.info("one")
    other = Thread(target=log.info, args=("two",))
    other.start()
    other.join()
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_lines_are_written_at_once_after_the_stop(log, lines):
    health = BatchedLogs(NullReporter(), lines)
    health.ready()
    log.info("one")
    health.stopping()
    log.info("two")
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_batched_logs_pass_health_on(lines):
    calls = []

    class Recorder:
        def ready(self):
            calls.append("ready")

        def beat(self, status):
            calls.append(status)

        def stopping(self):
            calls.append("stopping")

    health = BatchedLogs(Recorder(), lines)
    health.ready()
    health.beat("at work")
    health.stopping()
    assert calls == ["ready", "at work", "stopping"]


def test_closed_stream_raises_nothing(log, lines):
    lines.stream.close()
    log.info("one")


def test_without_a_line_handler_the_reporter_is_returned(monkeypatch):
    monkeypatch.setattr(logging.getLogger(logs.ROOT), "handlers", [])
    health = NullReporter()
    assert logs.batch_by_round(health) is health


@pytest.mark.parametrize("end", ["", "raise SystemExit(1)", "raise KeyError"])
def test_last_lines_are_written_at_the_end_of_a_process(end):
    program = f"""
import logging
from cloud_builder.mesh import logs
from cloud_builder.ports.health import NullReporter
logs.configure("runner-1")
logs.batch_by_round(NullReporter()).ready()
logging.getLogger("cb.test").info("one")
logging.getLogger("cb.test").info("two", extra={{"job": "r.1"}})
{end}
"""
    errors = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr
    lines = [line.partition(" info ")[2].strip() for line in errors.splitlines() if " info " in line]
    assert lines == ["runner-1 one", "runner-1 two job=r.1"]
