"""Superseded pushes: a table of the jobs that end and of those that continue."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.records import JobRecord, RequestRecord
from cloud_builder.planning.request.supersede import Push, absorb_unstarted, can_be_superseded, end, supersede
from support import factories
from support.factories import deb

UNITS = {"lib", "tool", "card"}
BLOCKED: dict[str, Any] = {}
BUILT = {"attempt": 1, "state": JobState.FINISHED, "outcome": Outcome.SUCCESS}
FAILED = {"attempt": 1, "state": JobState.FINISHED, "outcome": Outcome.FAILURE}
RETRYING = {"attempt": 1, "state": JobState.QUEUED}
RUNNING = {"attempt": 1, "state": JobState.RUNNING, "runner_id": "r1"}
UNCHANGED = {"state": JobState.FINISHED, "outcome": Outcome.SKIPPED, "code": "unchanged", "reused_from": "old.1"}


def push(name: str, at: float, *units: str, **more: Any) -> RequestAccepted:
    about = {"request_id": name, "source": "demo", "ref": "main", "revision": name * 40, "units": units}
    return RequestAccepted.model_validate({"origin": "push", "accepted_at": at, **about, **more})


def record(accepted: RequestAccepted, **more: Any) -> RequestRecord:
    return RequestRecord.model_validate({**accepted.model_dump(), "sequence": 1, **more})


def job(request: str, unit: str, tree: str = "1", **more: Any) -> JobRecord:
    about = {"job_id": f"{request}.{unit}", "source": "demo", "unit": unit, "name": unit, "tree": tree}
    return factories.job(request=request, **{**about, "state": JobState.BLOCKED, "input_key": None, **more})


OLD, NEW = push("a", 1.0, "lib"), push("b", 2.0, "tool")


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        (record(OLD), NEW, True),
        (record(OLD, origin="client"), NEW, False),
        (record(OLD), push("b", 2.0, "tool", origin="client"), False),
        (record(OLD, ref="next"), NEW, False),
        (record(OLD, source="else"), NEW, False),
        (record(OLD, canceled=True), NEW, False),
        (record(OLD, code="superseded"), NEW, False),
        (record(NEW), OLD, False),
        (record(OLD), OLD, False),
    ],
)
def test_only_an_older_push_to_the_same_branch_can_be_superseded(
    older: RequestRecord, newer: RequestAccepted, expected: bool
) -> None:
    assert can_be_superseded(older, newer) is expected


def test_push_takes_over_units_of_an_unstarted_push() -> None:
    idle = Push(record(OLD), (job("a", "lib"), job("a", "card", is_requested=False), job("a", "tool", **UNCHANGED)))
    assert absorb_unstarted(NEW, [idle]).units == ("lib", "tool"), "card was not requested, and is added again"
    started = Push(record(OLD), (job("a", "lib", **RUNNING),))
    assert absorb_unstarted(NEW, [started]) is NEW


TABLE = [
    # jobs of the older push: (unit, tree, status); units of the newer one and their trees; units of ended jobs, or None
    ("no job was started", [("lib", "1", BLOCKED)], {"tool": "1"}, ["lib"]),
    ("a need was unchanged", [("tool", "1", UNCHANGED), ("lib", "1", BLOCKED)], {"tool": "1"}, ["lib"]),
    (
        "covered, another tree",
        [("lib", "1", RUNNING), ("card", "1", BLOCKED)],
        {"lib": "2", "card": "1"},
        ["lib", "card"],
    ),
    ("covered, the same tree", [("lib", "1", RUNNING), ("card", "1", BLOCKED)], {"lib": "1", "card": "1"}, ["card"]),
    ("covered, a retry waits", [("lib", "1", RETRYING)], {"lib": "1"}, ["lib"]),
    ("a finished job needs no cover", [("lib", "1", BUILT), ("card", "1", BLOCKED)], {"card": "2"}, ["card"]),
    ("a failed job needs cover", [("lib", "1", FAILED), ("card", "1", BLOCKED)], {"card": "2"}, None),
    (
        "a failed job is tried again",
        [("lib", "1", FAILED), ("card", "1", BLOCKED)],
        {"lib": "1", "card": "1"},
        ["card"],
    ),
    ("not covered", [("lib", "1", RUNNING), ("card", "1", BLOCKED)], {"lib": "2"}, None),
    ("removed from the tree", [("lib", "1", RUNNING), ("gone", "1", RUNNING)], {"lib": "1"}, ["gone"]),
    ("all jobs wait for publication", [("lib", "1", BUILT)], {"lib": "2"}, None),
]


@pytest.mark.parametrize(("older", "newer", "ended"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_supersede_ends_the_open_jobs_of_a_covered_push(
    older: list[tuple[str, str, dict[str, Any]]], newer: dict[str, str], ended: list[str] | None
) -> None:
    old = Push(record(OLD), tuple(job("a", unit, tree, **state) for unit, tree, state in older))
    found = supersede(NEW, [job("b", unit, tree) for unit, tree in newer.items()], [old], UNITS)
    assert [[each.unit for each in superseded.ended] for superseded in found] == ([] if ended is None else [ended])
    for superseded in found:
        assert (superseded.request.code, superseded.request.message) == ("superseded", "superseded by b")


def test_unit_of_another_source_is_another_unit() -> None:
    """A push also builds its dependants in other sources."""
    old = Push(record(OLD), (job("a", "lib", **RUNNING), job("a", "gone", source="else")))
    assert supersede(NEW, [job("b", "lib", "2"), job("b", "gone")], [old], UNITS) == []
    assert supersede(NEW, [job("b", "lib", "2"), job("b", "gone", source="else")], [old], UNITS)


def test_ended_job_names_the_newer_push() -> None:
    ended = end(job("a", "lib", **RUNNING, duplicate_of="x.1"), NEW.request_id)
    assert (ended.outcome, ended.code, ended.message, ended.duplicate_of) == (
        Outcome.SUPERSEDED,
        "superseded",
        "superseded by b",
        None,
    )
    assert not ended.is_good


def test_job_that_made_artifacts_does_not_end() -> None:
    old = Push(record(OLD), (job("a", "lib", **BUILT, artifacts=(deb(),)), job("a", "card")))
    (superseded,) = supersede(NEW, [job("b", "card", "2")], [old], UNITS)
    assert [each.unit for each in superseded.ended] == ["card"]
