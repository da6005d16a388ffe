"""The live view of a request: which jobs are shown, with which remarks."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cloud_builder.cli.output import MIN_WIDTH, fit
from cloud_builder.cli.request_poller import RequestView
from cloud_builder.cli.watch import remark, table


def job(number: int, state: str = "running", **more: Any) -> dict[str, Any]:
    return {
        "job_id": f"r-1.{number}",
        "unit": f"packages/p{number}",
        "target": "bookworm.x86_64",
        "state": state,
        **more,
    }


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (job(1, "blocked", waiting_for=["r-1.2"]), "waits for r-1.2"),
        (job(1, "blocked", reason="waits", waiting_for=["r-1.2"], waiting_units=["p/lib"]), "waits for p/lib"),
        (job(1, "blocked", reason="no runner for arm64"), "no runner for arm64"),
        (job(1, "running", last_line="make all"), "make all"),
        (job(1, "queued", reason="again in 2 s"), "again in 2 s"),
        (job(1, "finished", outcome="failure", message="first\nsecond", last_line="x"), "first"),
        (job(1, "finished", outcome="success"), ""),
    ],
)
def test_remark_is_the_reason_the_last_line_or_the_message(row: dict[str, Any], expected: str) -> None:
    assert remark(row) == expected


def rendered(jobs: list[dict[str, Any]], room: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=100).print(table(RequestView({"state": "running"}, jobs), 1010.0, 100, room))
    return out.getvalue().splitlines()


def test_table_shows_the_most_active_jobs_when_room_is_short() -> None:
    jobs = [job(number, "finished", outcome="success") for number in range(50)]
    jobs += [job(98, "running", started_at=1000.0), job(99, "finished", outcome="failure")]
    lines = rendered(jobs, 10)
    assert len(lines) <= 10
    assert "p98" in lines[0]
    assert "10s" in lines[0]
    assert "p99" in lines[1]
    assert "43 more jobs" in lines[-1]


def test_table_cuts_a_long_remark_before_other_columns() -> None:
    lines = rendered([job(1, "running", started_at=1000.0, runner_id="runner-1", last_line="x" * 500)], 10)
    assert len(lines) == 1
    assert all(word in lines[0] for word in ("running", "p1", "runner-1", "10s", "xxx…"))


def test_fit_narrows_the_widest_shortened_column_first() -> None:
    assert fit([8, 40, 60], [1, 2], 80) == [8, 34, 34]
    assert fit([8, 40, 60], [2], 80) == [8, 40, MIN_WIDTH + 16]
    assert fit([90, 40], [1], 80) == [90, MIN_WIDTH]


def test_table_without_jobs_names_cb_scheduler() -> None:
    assert "cb-scheduler" in rendered([], 10)[0]
