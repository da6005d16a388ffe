"""The one door to programs: what they said comes back, and every way to fail has its error."""

from __future__ import annotations

import os
from threading import Event

import pytest

from cloud_builder.adapters.process import run, spawn
from cloud_builder.errors import Permanent, Retryable


def test_output_status_and_input():
    finished = run(["sh", "-c", "cat; echo said >&2; exit 3"], stdin=b"given", fine=(0, 3))
    assert (finished.status, finished.stdout, finished.stderr) == (3, b"given", b"said\n")


def test_environment_and_directory_are_the_given_ones(tmp_path):
    finished = run(["sh", "-c", "pwd; env"], cwd=tmp_path, env={"PATH": os.environ["PATH"], "ONE": "1"})
    place, *variables = finished.text.splitlines()
    assert place == str(tmp_path)
    assert {line.split("=")[0] for line in variables} <= {"PATH", "ONE", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize("error", [Permanent, Retryable])
def test_failure_names_the_command_and_its_last_words(error):
    with pytest.raises(error, match="exit status 4") as caught:
        run(["sh", "-c", "echo first; echo the cause >&2; exit 4"], error=error, code="mine", hint="do that")
    assert "the cause" in caught.value.message
    assert (caught.value.code, caught.value.hint) == ("mine", "do that")


def test_a_missing_program_names_its_package():
    with pytest.raises(Retryable) as caught:
        run(["newuidmap"], env={"PATH": "/nowhere"})
    assert caught.value.code == "tool-missing"
    assert caught.value.hint == "apt-get install uidmap"


def test_time_out_ends_the_program_and_its_children():
    with pytest.raises(Retryable) as caught:
        run(["sh", "-c", "sleep 3600 & sleep 3600"], timeout=0.2)
    assert caught.value.code == "timeout"


def test_spawned_output_is_read_as_it_comes():
    child = spawn(["sh", "-c", "echo one; echo two >&2"])
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.read().splitlines() == [b"one", b"two"]
    assert child.wait() == 0


def test_a_cancel_ends_the_program_and_its_children():
    cancel = Event()
    cancel.set()
    with pytest.raises(Retryable) as caught:
        run(["sh", "-c", "sleep 3600 & sleep 3600"], cancel=cancel)
    assert caught.value.code == "canceled"


def test_what_can_be_canceled_says_all_the_same_and_may_still_time_out():
    much = b"x" * 300_000
    assert run(["sh", "-c", "sleep 0.3; cat"], stdin=much, cancel=Event()).stdout == much
    with pytest.raises(Retryable) as caught:
        run(["sleep", "3600"], timeout=0.2, cancel=Event())
    assert caught.value.code == "timeout"
