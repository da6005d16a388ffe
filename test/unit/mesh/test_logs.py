"""The form of log lines: people grep them and programs read them."""

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


@pytest.fixture
def lines():
    return LineHandler(io.StringIO())


@pytest.fixture
def log(lines):
    logger = logging.Logger("cb.test")
    logger.addHandler(lines)
    return logger


def test_a_line_is_written_at_once(log, lines):
    log.info("one")
    assert lines.stream.getvalue() == "one\n"


def test_lines_of_one_round_are_written_together(log, lines):
    pulse = BatchedLogs(NullReporter(), lines)
    pulse.ready()
    log.info("one")
    log.info("two")
    assert lines.stream.getvalue() == ""
    pulse.beat("at work")
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_a_warning_waits_for_nothing_and_what_was_said_before_it_comes_before_it(log, lines):
    BatchedLogs(NullReporter(), lines).ready()
    log.info("one")
    log.warning("two")
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_a_line_of_another_thread_waits_for_nothing(log, lines):
    BatchedLogs(NullReporter(), lines).ready()
    log.info("one")
    other = Thread(target=log.info, args=("two",))
    other.start()
    other.join()
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_from_the_order_to_stop_on_every_line_is_written_at_once(log, lines):
    pulse = BatchedLogs(NullReporter(), lines)
    pulse.ready()
    log.info("one")
    pulse.stopping()
    log.info("two")
    assert lines.stream.getvalue() == "one\ntwo\n"


def test_the_watcher_hears_all_the_same(lines):
    heard = []

    class Watcher:
        def ready(self):
            heard.append("ready")

        def beat(self, status):
            heard.append(status)

        def stopping(self):
            heard.append("stopping")

    pulse = BatchedLogs(Watcher(), lines)
    pulse.ready()
    pulse.beat("at work")
    pulse.stopping()
    assert heard == ["ready", "at work", "stopping"]


def test_a_stream_that_nobody_reads_stops_nobody(log, lines):
    lines.stream.close()
    log.info("one")


def test_without_lines_of_ours_the_pulse_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(logging.getLogger(logs.ROOT), "handlers", [])
    pulse = NullReporter()
    assert logs.batch_by_round(pulse) is pulse


@pytest.mark.parametrize("end", ["", "raise SystemExit(1)", "raise KeyError"])
def test_however_a_process_ends_its_last_lines_are_written(end):
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
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr
    ours = [line.partition(" info ")[2].strip() for line in said.splitlines() if " info " in line]
    assert ours == ["runner-1 one", "runner-1 two job=r.1"]
