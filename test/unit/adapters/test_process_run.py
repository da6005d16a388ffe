"""Running programs: their output, and an error for each kind of failure."""

from __future__ import annotations

import os
from threading import Event

import pytest

from cloud_builder.adapters.process import run, spawn
from cloud_builder.errors import Permanent, Retryable


def test_run_passes_input_and_returns_output_and_status():
    finished = run(["sh", "-c", "cat; echo printed >&2; exit 3"], stdin=b"given", expected=(0, 3))
    assert (finished.status, finished.stdout, finished.stderr) == (3, b"given", b"printed\n")


def test_run_uses_the_given_environment_and_directory(tmp_path):
    finished = run(["sh", "-c", "pwd; env"], cwd=tmp_path, env={"PATH": os.environ["PATH"], "ONE": "1"})
    directory, *variables = finished.text.splitlines()
    assert directory == str(tmp_path)
    assert {line.split("=")[0] for line in variables} <= {"PATH", "ONE", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize("error", [Permanent, Retryable])
def test_failure_has_the_command_and_its_last_lines(error):
    with pytest.raises(error, match="exit status 4") as caught:
        run(["sh", "-c", "echo first; echo the cause >&2; exit 4"], error=error, code="mine", hint="do that")
    assert "the cause" in caught.value.message
    assert (caught.value.code, caught.value.hint) == ("mine", "do that")


def test_missing_program_names_its_package():
    with pytest.raises(Retryable) as caught:
        run(["newuidmap"], env={"PATH": "/nowhere"})
    assert caught.value.code == "tool-missing"
    assert caught.value.hint == "apt-get install uidmap"


def test_timeout_ends_the_program_and_its_children():
    with pytest.raises(Retryable) as caught:
        run(["sh", "-c", "sleep 3600 & sleep 3600"], timeout=0.2)
    assert caught.value.code == "timeout"


def test_spawned_output_is_read_as_it_comes():
    child = spawn(["sh", "-c", "echo one; echo two >&2"])
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.read().splitlines() == [b"one", b"two"]
    assert child.wait() == 0


def test_cancel_ends_the_program_and_its_children():
    cancel = Event()
    cancel.set()
    with pytest.raises(Retryable) as caught:
        run(["sh", "-c", "sleep 3600 & sleep 3600"], cancel=cancel)
    assert caught.value.code == "canceled"


def test_cancelable_program_gets_its_input_and_may_time_out():
    much = b"x" * 300_000
    assert run(["sh", "-c", "sleep 0.3; cat"], stdin=much, cancel=Event()).stdout == much
    with pytest.raises(Retryable) as caught:
        run(["sleep", "3600"], timeout=0.2, cancel=Event())
    assert caught.value.code == "timeout"
