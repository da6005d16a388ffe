"""The last lines of a request: what was built, what was spared, and what that saved."""

from __future__ import annotations

from typing import Any, cast

import pytest

from cloud_builder.cli.get import last_rounds
from cloud_builder.cli.request_summary import show_summary
from cloud_builder.cli.session import Session


def job(unit: str, outcome: str, code: str = "") -> dict[str, Any]:
    return {"job_id": "r-1.1", "unit": unit, "target": "t", "state": "finished", "outcome": outcome, "code": code}


def ending(capsys: pytest.CaptureFixture[str], jobs: list[dict[str, Any]], **more: Any) -> str:
    request = {"request_id": "r-1", "outcome": "success", "accepted_at": 10.0, "finished_at": 75.0, **more}
    show_summary(cast("Session", None), request, jobs)
    return "".join(capsys.readouterr())


def test_unchanged_jobs_are_listed_with_the_seconds_saved(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job("lib", "success"), job("tool", "skipped", "unchanged"), job("card", "skipped", "unchanged")]
    told = ending(capsys, jobs, summary={"built": 1, "reused": 0, "unchanged": 2, "saved": 245.0})
    assert "r-1: success after 1m05s (1 success, 2 unchanged), saved 4m05s" in told


def test_what_was_skipped_for_a_fault_is_not_called_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    told = ending(capsys, [job("tool", "skipped", "dependency-failed")], outcome="error")
    assert "(1 skipped)" in told
    assert "saved" not in told
    assert "cb-ctl get" not in told


def test_of_a_cycle_that_was_not_tried_the_cause_is_told_once_and_after_what_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    circle = [{**job(name, "failure", "dependency-cycle"), "message": "a, b", "hint": "mark"} for name in "ab"]
    other = {**job("c", "failure"), "message": "c.c:1: x\nmore", "attempt": 1}
    told = ending(capsys, [*circle, other], outcome="failure")
    assert told.index("c.c:1: x") < told.index("a, b")
    assert told.count("a, b") == told.count("mark") == told.count("whole log") == 1


def test_a_request_in_which_nothing_was_built_has_files_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cb-ctl get r-1" in ending(capsys, [job("tool", "skipped", "unchanged")])


def test_of_a_cycle_only_what_the_last_round_made_is_fetched() -> None:
    rows = [
        {"job_id": f"r-1.{number}", "source": "s", "unit": unit, "target": "t"}
        for number, unit in ((11, "egg"), (2, "egg"), (3, "lib"), (9, "egg"))
    ]
    assert [row["job_id"] for row in last_rounds(rows)] == ["r-1.11", "r-1.3"]
