"""The last lines of a request: what was built, what was reused, and the time that this saved."""

from __future__ import annotations

from typing import Any, cast

import pytest

from cloud_builder.cli.get import last_rounds
from cloud_builder.cli.request_summary import published_lines, show_summary
from cloud_builder.cli.session import Session


def job(unit: str, outcome: str, code: str = "") -> dict[str, Any]:
    return {"job_id": "r-1.1", "unit": unit, "target": "t", "state": "finished", "outcome": outcome, "code": code}


def summary_text(capsys: pytest.CaptureFixture[str], jobs: list[dict[str, Any]], **more: Any) -> str:
    request = {"request_id": "r-1", "outcome": "success", "accepted_at": 10.0, "finished_at": 75.0, **more}
    show_summary(cast("Session", None), request, jobs)
    return "".join(capsys.readouterr())


def test_unchanged_jobs_are_listed_with_the_seconds_saved(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job("lib", "success"), job("tool", "skipped", "unchanged"), job("card", "skipped", "unchanged")]
    text = summary_text(capsys, jobs, summary={"built": 1, "reused": 0, "unchanged": 2, "saved": 245.0})
    assert "r-1: success after 1m05s (1 success, 2 unchanged), saved 4m05s" in text


def test_job_skipped_for_a_failure_is_not_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    text = summary_text(capsys, [job("tool", "skipped", "dependency-failed")], outcome="error")
    assert "(1 skipped)" in text
    assert "saved" not in text
    assert "cb-ctl get" not in text


def test_cause_of_an_unbuilt_cycle_is_printed_once_after_failed_builds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cycle = [{**job(name, "failure", "dependency-cycle"), "message": "a, b", "hint": "mark"} for name in "ab"]
    other = {**job("c", "failure"), "message": "c.c:1: x\nmore", "attempt": 1}
    text = summary_text(capsys, [*cycle, other], outcome="failure")
    assert text.index("c.c:1: x") < text.index("a, b")
    assert text.count("a, b") == text.count("mark") == text.count("whole log") == 1


def test_failures_beyond_the_third_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [{**job(f"packages/{name}", "failure"), "message": f"{name}.c:1: x\ny", "attempt": 1} for name in "abcde"]
    text = summary_text(capsys, jobs, outcome="failure")
    assert [f"{name}.c:1: x" in text for name in "abcde"] == [True, True, True, False, False]
    assert "\nand 2 more: packages/d, packages/e (cb-ctl status r-1)\n" in text
    assert "more:" not in summary_text(capsys, jobs[:3], outcome="failure")


def test_request_with_only_unchanged_jobs_has_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cb-ctl get r-1" in summary_text(capsys, [job("tool", "skipped", "unchanged")])


def test_published_removed_and_lowered_versions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        {**job("p/lib", "success"), "publish": True, "source_version": "1.0+cb2", "replaced_version": "1.0+cb1"},
        {**job("p/new", "success"), "publish": True, "source_version": "2"},
        {**job("p/same", "reused"), "publish": True, "source_version": "3", "replaced_version": "3"},
        {**job("p/branch", "success"), "publish": False, "source_version": "4"},
        {**job("p/low", "success"), "publish": True, "source_version": "1", "replaced_version": "2", "notes": ["x ↓"]},
    ]
    lines = published_lines({"repositories": [{"repository": "r", "removed": ["old 1"]}]}, jobs)
    assert lines == [
        "published:  p/lib 1.0+cb1 → 1.0+cb2",
        "            p/new 2 (new)",
        "            p/low 2 → 1",
        "removed:    old 1",
        "note:       p/low: x ↓",
    ]
    assert "  published:  p/lib" in summary_text(capsys, jobs)


def test_get_takes_the_last_round_of_a_cycle() -> None:
    rows = [
        {"job_id": f"r-1.{number}", "source": "s", "unit": unit, "target": "t"}
        for number, unit in ((11, "egg"), (2, "egg"), (3, "lib"), (9, "egg"))
    ]
    assert [row["job_id"] for row in last_rounds(rows)] == ["r-1.11", "r-1.3"]


def test_held_build_is_named_with_its_reason_and_not_as_published(capsys: pytest.CaptureFixture[str]) -> None:
    versions = {"source_version": "2.0", "replaced_version": "1.0", "publish": True, "target": "bookworm.x86_64"}
    lib = {**job("p/lib", "success"), **versions}
    held = {
        "unit": "p/lib",
        "target": "bookworm.x86_64",
        "packages": ["lib 2.0"],
        "reason": "app 1.0 needs lib (= 1.0)",
    }
    text = summary_text(capsys, [lib], held=[held], more_held=2)
    assert "held back:  lib 2.0 of p/lib for bookworm.x86_64: app 1.0 needs lib (= 1.0)" in text
    assert "and 2 more builds" in text
    assert "published:" not in text
