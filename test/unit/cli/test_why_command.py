"""`cb-ctl why` against a real cb-info: one screen, the log searched for the cause, JSON."""

from __future__ import annotations

import time

import pytest

from cloud_builder.cli.log_excerpt import excerpt
from cloud_builder.errors import ExitCode
from cloud_builder.model import events as e
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.info_mesh import InfoMesh, json_output, output

LOG = b"""==> unpack
unpack: error: harmless, it was fixed
==> build
\x1b[1mcc -c hello.c\x1b[0m
hello.c:3:5: error: 'x' undeclared
make[1]: *** [Makefile:2: hello.o] Error 1
dpkg-buildpackage: error: debian/rules build subprocess returned exit status 2
==> failure: hello 1 does not build: hello.c:3:5: error: 'x' undeclared
"""


def test_failure_shows_the_likely_cause_and_the_last_lines(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    log = mesh.stored("hello.log", LOG, ArtifactKind.LOG)
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="does not build", step="build", log=log)
    for word in ("hello", "r-1.1", "r-1"):
        text = output(capsys, "why", word)
        assert "failure in step build: does not build" in text, word
        assert "cause      hello.c:3:5: error: 'x' undeclared" in text, word
        assert "| dpkg-buildpackage: error:" in text and "harmless" not in text, word
        assert len(text.splitlines()) <= 24, word
    found = json_output(capsys, "why", "r-1")
    assert found["causes"][0]["root"]["log"]["cause"] == "hello.c:3:5: error: 'x' undeclared"
    assert (found["kind"], found["causes"][0]["kind"]) == ("request", "failed")


def test_why_explains_a_failure_whose_log_is_gone(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    log = mesh.stored("hello.log", LOG, ArtifactKind.LOG).model_copy(update={"sha256": "0" * 64})
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="does not build", step="build", log=log)
    text = output(capsys, "why", "hello")
    assert "does not build" in text and "cannot be read" in text


def test_running_job_shows_the_last_line_of_its_log(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.accept()
    mesh.job(e.JobRunning, attempt=1, runner_id="runner-1")
    mesh.send(e.LogAppended(job_id="r-1.1", attempt=1, offset=0, text="configure\ncc -c hello.c\n"))
    assert "log        | cc -c hello.c" in output(capsys, "why", "r-1")


def test_live_log_is_searched_for_the_cause(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.send(e.LogAppended(job_id="r-1.1", attempt=1, offset=0, text=LOG.decode()))
    mesh.finish(RequestOutcome.ERROR, Outcome.ERROR, message="lost")
    assert "'x' undeclared" in output(capsys, "why", "hello")


def test_waiting_job_is_shown_with_its_cause(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.accept()
    mesh.job(e.JobQueued, input_key="k")
    text = output(capsys, "why", "hello")
    assert "packages/hello for bookworm.x86_64 (r-1.1): queued" in text
    assert "no live runner for x86_64" in text
    assert "next       Start one: cb-runner" in text
    assert json_output(capsys, "why", "r-1")["causes"][0]["root"]["kind"] == "waits-for-runner"


def test_unknown_name_is_rejected_with_the_nearest_one(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.follow()
    assert "Did you mean packages/hello?" in output(capsys, "why", "helo", code=ExitCode.REJECTED)
    assert "cb-ctl request packages/hello" in output(capsys, "why", "hello")


def test_quarantined_runner_is_listed_with_the_reason(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    mesh.send(e.RunnerSeen(runner_id="r1", arch="x86_64", slots=1, started_at=1.0, at=now))
    mesh.send(e.RunnerQuarantined(runner_id="r1", reason="disk full", until=now + 60, at=now))
    text = output(capsys, "list", "runners")
    assert "quarantined" in text and "disk full" in text
    assert "quarantine  r1 until" in output(capsys, "status")


def test_why_removes_control_sequences_of_a_build(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    log = mesh.stored("hello.log", b"\x1b]0;owned\x07a.c:1: error: \x1b[2Jx\x9b\n", ArtifactKind.LOG)
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="no", log=log)
    assert not set(output(capsys, "why", "hello")) & set("\x1b\x07\x9b")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", ""),
        ("all is well\n", ""),
        ("==> build\nFAIL: test_a\nFAIL: test_b\nmake: *** [check] Error 1\n", "FAIL: test_a"),
        ("a.c:1: error: before\n==> build\n==> not a step\nFAIL: b\n==> failure: a.c:1: error: again\n", "FAIL: b"),
        ("dpkg-checkbuilddeps: error: Unmet\n", "dpkg-checkbuilddeps: error: Unmet"),
        ("a.c:1:1: warning: b\nld: x.o: undefined reference to `f'\n", "ld: x.o: undefined reference to `f'"),
    ],
)  # fmt: skip
def test_excerpt_finds_the_line_that_looks_like_the_cause(text: str, cause: str) -> None:
    assert excerpt(text, "build")["cause"] == cause
