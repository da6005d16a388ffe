"""Likely cause in a build log; outcome of an error or a result."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cloud_builder.builder.build_log import BuildLog, Canceled
from cloud_builder.builder.outcome import build_error, check_size, install_error, outcome_of_error, raise_for_result
from cloud_builder.errors import Bug, Permanent, Rejected, Retryable
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.recipe import PackageSource
from cloud_builder.ports.sandbox import EndReason, RunResult

SOURCE = PackageSource("greet", "1.2", Path("/unit"), "tree")


def rank(line: str) -> int:
    return 9 if "error:" in line else 3 if "***" in line else 0


@pytest.fixture
def log(tmp_path: Path) -> BuildLog:
    return BuildLog(tmp_path / "log", lambda _: None, rank, MIB)


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (Permanent("no", code="source"), Outcome.FAILURE, "source"),
        (Rejected("no", code="unknown-path"), Outcome.FAILURE, "unknown-path"),
        (Retryable("later", code="mirror"), Outcome.ERROR, "mirror"),
        (Bug("oops", code="tree"), Outcome.ERROR, "tree"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), Outcome.ERROR, "machine"),
        (KeyError("x"), Outcome.ERROR, "bug"),
        (Canceled(), Outcome.CANCELED, "canceled"),
    ],
)
def test_each_error_becomes_an_outcome_with_a_message(error: Exception, expected: Outcome, code: str) -> None:
    outcome = outcome_of_error(error, canceled=False)
    assert (outcome.outcome, outcome.code) == (expected, code)
    assert outcome.message
    assert outcome_of_error(error, canceled=True).outcome is Outcome.CANCELED


@pytest.mark.parametrize("ended_by", sorted(set(EndReason) - {EndReason.ITSELF, EndReason.CANCEL}))
def test_limit_is_named_with_its_value(ended_by: EndReason) -> None:
    limits = Limits(time=11.0, silence=12.0, memory=13 * MIB, disk=14 * MIB, log=15 * MIB, processes=16)
    with pytest.raises(Permanent, match=rf"^build: .* the limit `{ended_by.value}`, 1[1-6]") as error:
        raise_for_result(RunResult(-9, ended_by), "build", limits)
    assert error.value.code == f"limit-{ended_by.value}"


def test_sigkill_is_an_error_only_when_the_machine_ran_out_of_memory() -> None:
    with pytest.raises(Retryable, match="out of memory"):
        raise_for_result(RunResult(-9, host_out_of_memory=True), "build", Limits())
    with pytest.raises(Permanent, match="killed by SIGKILL, and not by the runner"):
        raise_for_result(RunResult(-9), "build", Limits())
    raise_for_result(RunResult(0, host_out_of_memory=True), "build", Limits())
    raise_for_result(RunResult(2), "build", Limits())


def test_build_that_failed_on_a_full_disk_is_an_error() -> None:
    for failed in (1, -9):
        with pytest.raises(Retryable, match="the disk of the runner is full"):
            raise_for_result(RunResult(failed, disk_was_full=True), "build", Limits())
    raise_for_result(RunResult(0, disk_was_full=True), "build", Limits())
    error = install_error(RunResult(100, disk_was_full=True))
    assert error is not None
    assert error.code == "disk-full"
    assert install_error(RunResult(100)) is None


def test_message_begins_with_the_cause_and_quotes_the_lines_after_it(log: BuildLog) -> None:
    with log.step("build"):
        log.write(b"compiling\n\x1b[31ma.c:1: err")
        log.write(b"or: first\x1b[0m\r\nb.c:2: error: second\n\n*** Error 1\ngiven up")
        failure = build_error(SOURCE, "build", 2, log, Limits())
    assert failure.message.splitlines() == [
        "greet 1.2 does not build: a.c:1: error: first",
        "  | b.c:2: error: second",
        "  | *** Error 1",
        "  | given up",
    ]


def test_message_has_the_last_line_when_no_line_looks_like_a_cause(log: BuildLog) -> None:
    with log.step("build"):
        log.write(b"one\ntwo\n")
        failure = build_error(SOURCE, "build", 2, log, Limits())
        assert failure.message.startswith("greet 1.2 does not build: two\n")
    with log.step("build"):
        assert build_error(SOURCE, "build", 2, log, Limits()).message == "greet 1.2 does not build: exit status 2"


@pytest.mark.parametrize(
    ("line", "explanation"),
    [
        ("error: fork: retry: Resource temporarily unavailable", "the limit `processes`"),
        ("error: cc1plus: Cannot allocate memory", "4096 MiB (the limit `memory`)"),
        ("==55==LeakSanitizer has encountered a fatal error.", "set ASAN_OPTIONS=detect_leaks=0"),
        ("error: Could not resolve host: example.org", "Builds have no network"),
        ("error: something else", "`cb-ctl shell"),
    ],
)
def test_error_of_the_kernel_is_explained(log: BuildLog, line: str, explanation: str) -> None:
    with log.step("build"):
        log.write(line.encode() + b"\n")
        assert explanation in build_error(SOURCE, "build", 2, log, Limits()).hint


def test_size_of_outputs_may_reach_but_not_exceed_the_limit() -> None:
    check_size(14 * MIB, Limits(disk=14 * MIB))
    with pytest.raises(Permanent, match="15 MiB, more than the limit `disk`, 14 MiB"):
        check_size(15 * MIB, Limits(disk=14 * MIB))


def test_log_has_every_byte_up_to_its_limit(tmp_path: Path) -> None:
    live = bytearray()
    log = BuildLog(tmp_path / "log", live.extend, rank, 40)
    with log.step("build"):
        for _ in range(10):
            log.write(b"0123456789\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == bytes(live) == (b"==> build\n" + b"0123456789\n" * 3)[:40]
    assert list(log.timings) == ["build"]


def test_endless_line_is_shortened_in_memory(log: BuildLog) -> None:
    with log.step("build"):
        for _ in range(100):
            log.write(b"x" * 65536)
        assert [len(line) for line in log.lines()] == [2000]
