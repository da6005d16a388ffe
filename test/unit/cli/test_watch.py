"""The live view of a request: which jobs are shown, and what is said of each."""

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
    ("row", "said"),
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
def test_a_job_says_why_it_waits_what_it_does_or_how_it_ended(row: dict[str, Any], said: str) -> None:
    assert remark(row) == said


def drawn(jobs: list[dict[str, Any]], room: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=100).print(table(RequestView({"state": "running"}, jobs), 1010.0, 100, room))
    return out.getvalue().splitlines()


def test_the_liveliest_jobs_are_shown_when_there_is_no_room_for_all() -> None:
    jobs = [job(number, "finished", outcome="success") for number in range(50)]
    jobs += [job(98, "running", started_at=1000.0), job(99, "finished", outcome="failure")]
    lines = drawn(jobs, 10)
    assert len(lines) <= 10
    assert "p98" in lines[0]
    assert "10s" in lines[0]
    assert "p99" in lines[1]
    assert "43 more jobs" in lines[-1]


def test_a_long_remark_leaves_state_unit_and_time_whole() -> None:
    lines = drawn([job(1, "running", started_at=1000.0, runner_id="runner-1", last_line="x" * 500)], 10)
    assert len(lines) == 1
    assert all(word in lines[0] for word in ("running", "p1", "runner-1", "10s", "xxx…"))


def test_on_a_narrow_terminal_the_widest_of_what_may_be_cut_gives_first() -> None:
    assert fit([8, 40, 60], [1, 2], 80) == [8, 34, 34]
    assert fit([8, 40, 60], [2], 80) == [8, 40, MIN_WIDTH + 16]
    assert fit([90, 40], [1], 80) == [90, MIN_WIDTH]


def test_before_there_are_jobs_the_view_says_who_is_awaited() -> None:
    assert "cb-scheduler" in drawn([], 10)[0]
