"""What the supervisor reads from the program that asks whether the mesh is whole."""

from __future__ import annotations

import os
import time

import pytest

from cloud_builder.wiring.readiness import ReadinessCheck


@pytest.fixture
def check(tmp_path):
    """Makes checks whose program is a shell script."""
    opened = []

    def make(script: str) -> ReadinessCheck:
        opened.append(ReadinessCheck(tmp_path, 1, os.environ, command=["sh", "-c", script]))
        return opened[-1]

    yield make
    for one in opened:
        one.end()


def wait_for(condition, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.01)


def test_what_is_missing_is_the_last_line_that_was_printed(check):
    found = check("echo one; echo two; exec sleep 60")
    assert found.missing()
    wait_for(lambda: found.missing() == "two")


def test_nothing_is_missing_when_the_program_ends_well(check):
    found = check("echo one")
    wait_for(lambda: found.missing() == "")
    assert found.missing() == ""


def test_a_program_that_fails_is_started_again(check, tmp_path):
    marks = tmp_path / "starts"
    found = check(f"echo start >> {marks}; echo one; test $(wc -l < {marks}) -ge 3")
    wait_for(lambda: found.missing() == "")
    assert marks.read_text().splitlines() == ["start"] * 3


def test_a_check_that_was_ended_begins_anew(check, tmp_path):
    marks = tmp_path / "starts"
    found = check(f"echo start >> {marks}; exec sleep 60")
    found.missing()
    wait_for(marks.exists)
    found.end()
    found.missing()
    wait_for(lambda: len(marks.read_text().splitlines()) == 2)
