"""The supervisor's side of the readiness check."""

from __future__ import annotations

import os

import pytest

from cloud_builder.wiring.readiness import ReadinessCheck
from support.waiting import until


@pytest.fixture
def check(tmp_path):
    """Makes checks whose program is a shell script."""
    opened = []

    def make(script: str) -> ReadinessCheck:
        opened.append(ReadinessCheck(tmp_path, 1, os.environ, command=["sh", "-c", script]))
        return opened[-1]

    yield make
    for readiness in opened:
        readiness.end()


def test_missing_is_the_last_printed_line(check):
    found = check("echo one; echo two; exec sleep 60")
    assert found.missing()
    until(lambda: found.missing() == "two", "the last line")


def test_missing_is_empty_when_the_program_succeeds(check):
    found = check("echo one")
    until(lambda: found.missing() == "", "nothing to be missing")
    assert found.missing() == ""


def test_failed_program_is_restarted(check, tmp_path):
    marks = tmp_path / "starts"
    found = check(f"echo start >> {marks}; echo one; test $(wc -l < {marks}) -ge 3")
    until(lambda: found.missing() == "", "nothing to be missing")
    assert marks.read_text().splitlines() == ["start"] * 3


def test_ended_check_starts_again(check, tmp_path):
    marks = tmp_path / "starts"
    found = check(f"echo start >> {marks}; exec sleep 60")
    found.missing()
    until(lambda: marks.exists() and marks.read_text(), "the first run")
    found.end()
    found.missing()
    until(lambda: len(marks.read_text().splitlines()) == 2, "the second run")
