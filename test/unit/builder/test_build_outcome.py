"""How a build's log becomes a cause, and an error an outcome."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cloud_builder.builder.build_log import BuildLog, Canceled
from cloud_builder.builder.outcome import build_failed, check_size, install_ended, outcome_of_error, raise_for_result
from cloud_builder.errors import Bug, Permanent, Rejected, Retryable
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.recipe import PackageSource
from cloud_builder.ports.sandbox import EndReason, RunResult

SOURCE = PackageSource("greet", "1.2", Path("/unit"), "tree")


def rank(line: str) -> int:
    return 9 if "error:" in line else 3 if "***" in line else 0


@pytest.fixture
def progress(tmp_path: Path) -> BuildLog:
    return BuildLog(tmp_path / "log", lambda _: None, rank, MIB)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
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
def test_each_error_is_an_outcome_with_a_message(error: Exception, outcome: Outcome, code: str) -> None:
    verdict = outcome_of_error(error, canceled=False)
    assert (verdict.outcome, verdict.code) == (outcome, code)
    assert verdict.message
    assert outcome_of_error(error, canceled=True).outcome is Outcome.CANCELED


@pytest.mark.parametrize("ended_by", [one for one in EndReason if one not in (EndReason.ITSELF, EndReason.CANCEL)])
def test_a_limit_is_named_with_its_value(ended_by: EndReason) -> None:
    limits = Limits(time=11.0, silence=12.0, memory=13 * MIB, disk=14 * MIB, log=15 * MIB, processes=16)
    with pytest.raises(Permanent, match=rf"^build: .* the limit `{ended_by.value}`, 1[1-6]") as error:
        raise_for_result(RunResult(-9, ended_by), "build", limits)
    assert error.value.code == f"limit-{ended_by.value}"


def test_what_a_starving_machine_killed_is_tried_again_and_what_killed_itself_is_not() -> None:
    with pytest.raises(Retryable, match="out of memory"):
        raise_for_result(RunResult(-9, host_out_of_memory=True), "build", Limits())
    with pytest.raises(Permanent, match="killed by SIGKILL, and not by the runner"):
        raise_for_result(RunResult(-9), "build", Limits())
    raise_for_result(RunResult(0, host_out_of_memory=True), "build", Limits())
    raise_for_result(RunResult(2), "build", Limits())


def test_what_failed_while_the_disk_was_full_is_tried_again_elsewhere() -> None:
    for failed in (1, -9):
        with pytest.raises(Retryable, match="the disk of the runner is full"):
            raise_for_result(RunResult(failed, disk_was_full=True), "build", Limits())
    raise_for_result(RunResult(0, disk_was_full=True), "build", Limits())
    told = install_ended(RunResult(100, disk_was_full=True))
    assert told is not None
    assert told.code == "disk-full"
    assert install_ended(RunResult(100)) is None


def test_the_cause_comes_first_and_what_follows_it_after(progress: BuildLog) -> None:
    with progress.step("build"):
        progress.write(b"compiling\n\x1b[31ma.c:1: err")
        progress.write(b"or: first\x1b[0m\r\nb.c:2: error: second\n\n*** Error 1\ngiven up")
        failure = build_failed(SOURCE, "build", 2, progress, Limits())
    assert failure.message.splitlines() == [
        "greet 1.2 does not build: a.c:1: error: first",
        "  | b.c:2: error: second",
        "  | *** Error 1",
        "  | given up",
    ]


def test_without_a_cause_the_last_line_speaks(progress: BuildLog) -> None:
    with progress.step("build"):
        progress.write(b"one\ntwo\n")
        failure = build_failed(SOURCE, "build", 2, progress, Limits())
        assert failure.message.startswith("greet 1.2 does not build: two\n")
    with progress.step("build"):
        assert build_failed(SOURCE, "build", 2, progress, Limits()).message == "greet 1.2 does not build: exit status 2"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("error: fork: retry: Resource temporarily unavailable", "the limit `processes`"),
        ("error: cc1plus: Cannot allocate memory", "the limit `memory` (4096 MiB)"),
        ("error: Could not resolve host: example.org", "Builds have no network"),
        ("error: something else", "`cb-ctl shell"),
    ],
)
def test_a_word_of_the_kernel_is_explained(progress: BuildLog, said: str, meant: str) -> None:
    with progress.step("build"):
        progress.write(said.encode() + b"\n")
        assert meant in build_failed(SOURCE, "build", 2, progress, Limits()).hint


def test_files_with_holes_are_counted_whole() -> None:
    check_size(14 * MIB, Limits(disk=14 * MIB))
    with pytest.raises(Permanent, match="15 MiB, more than the limit `disk`, 14 MiB"):
        check_size(15 * MIB, Limits(disk=14 * MIB))


def test_the_log_has_every_byte_up_to_its_limit(tmp_path: Path) -> None:
    live = bytearray()
    progress = BuildLog(tmp_path / "log", live.extend, rank, 40)
    with progress.step("build"):
        for _ in range(10):
            progress.write(b"0123456789\n")
    progress.close()
    assert (tmp_path / "log").read_bytes() == bytes(live) == (b"==> build\n" + b"0123456789\n" * 3)[:40]
    assert list(progress.timings) == ["build"]


def test_a_line_without_an_end_costs_no_memory(progress: BuildLog) -> None:
    with progress.step("build"):
        for _ in range(100):
            progress.write(b"x" * 65536)
        assert [len(line) for line in progress.lines()] == [2000]
