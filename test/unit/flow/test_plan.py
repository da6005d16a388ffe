"""Tests of plans in a whole mesh: a plan predicts what a request does, and changes nothing."""

from __future__ import annotations

import pytest

from cloud_builder.flow.scheduler.plan_request import plan_parts
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.parts import MAX_PART_BYTES
from support.factories import unit_files
from support.memory_mesh import URL, MemoryMesh
from support.waiting import LIMIT

NEEDS = {"lib": (), "tool": ("lib",), "card": ("tool",), "other": ("lib",)}


def files(**content: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, needs in NEEDS.items():
        found |= unit_files(name, *needs, content=content.get(name, ""))
    return found


@pytest.fixture
def mesh() -> MemoryMesh:
    mesh = MemoryMesh(files(), runners=2)
    mesh.until(lambda: len(mesh.events(e.RunnerSeen)) >= 2)
    mesh.round()
    return mesh


def plan(mesh: MemoryMesh, *units: str, id: str = "plan-1", **more: object) -> e.PlanDrawn:
    mesh.request(*units, id=id, plan=True, **more)
    mesh.finished(id)
    (drawn,) = [event for event in mesh.events(e.PlanDrawn) if event.request_id == id]
    return drawn


def verdicts(drawn: e.PlanDrawn) -> dict[str, str]:
    return {job.unit.removeprefix("packages/"): str(job.verdict) for job in drawn.jobs}


def test_plan_predicts_the_request_and_starts_nothing(mesh: MemoryMesh) -> None:
    first = plan(mesh, "card")
    assert verdicts(first) == {"lib": "build", "tool": "build", "card": "build"}
    assert (first.totals.never_built, first.totals.slots) == (3, 2)
    finished = mesh.finished("plan-1")
    assert (finished.outcome, finished.code, finished.jobs) == (RequestOutcome.SUCCESS, "planned", ())
    assert not mesh.events(e.JobEvent, e.JobQueued, e.JobBlocked, e.JobFinished, e.JobAssigned)
    assert mesh.builder.assignments == []
    mesh.request("card")
    assert len(mesh.finished().jobs) == 3
    mesh.send(e.InfoAsked(query_id="a", what="requests"))
    mesh.until(lambda: mesh.events(e.InfoAnswered))
    (answer,) = mesh.events(e.InfoAnswered)
    assert [row["request_id"] for row in answer.data["items"]] == ["q"], "a plan is not listed as a request"
    assert verdicts(plan(mesh, "card", id="plan-2")) == {"lib": "unchanged", "tool": "unchanged", "card": "reused"}


def test_dependants_of_a_changed_unit_are_maybe(mesh: MemoryMesh) -> None:
    mesh.request(all=True, id="first")
    mesh.finished("first")
    mesh.git.repository(URL).commit(files(lib="new"), "feature")
    drawn = plan(mesh, since="main", ref="feature", dependants=True)
    assert verdicts(drawn) == {"lib": "build", "tool": "maybe", "card": "maybe", "other": "maybe"}
    assert {job.why for job in drawn.jobs if job.verdict == "build"} == {"its files changed"}
    assert drawn.totals.never_built == 0


def test_plan_request_that_is_read_again_emits_nothing(mesh: MemoryMesh) -> None:
    plan(mesh, "card")
    mesh.wait(2)
    before = mesh.sizes()
    mesh.rewind()
    mesh.wait(2)
    assert mesh.sizes() == before
    accepted = mesh.events(e.RequestAccepted)[-1]
    mesh.send(accepted)  # as another event, as if its id had been pruned
    mesh.wait(2)
    assert len(mesh.events(e.PlanDrawn)) == 1


@pytest.mark.parametrize(("words", "code"), [({"since": "mian"}, "unknown-ref"), ({"units": ["crad"]}, "unknown-unit")])
def test_plan_of_an_unknown_ref_or_unit_is_rejected(mesh: MemoryMesh, words: dict[str, object], code: str) -> None:
    mesh.send(e.BuildRequested.model_validate({"source": "demo", "plan": True, "request_id": "p", **words}))
    finished = mesh.finished("p")
    assert (finished.outcome, finished.code) == (RequestOutcome.REJECTED, code)
    assert "Did you mean" in finished.hint


def test_plan_names_the_job_that_builds_a_unit_already(mesh: MemoryMesh) -> None:
    mesh.builder.outcome_of = lambda assignment, log, cancel: (
        Outcome.CANCELED if cancel.wait(LIMIT) else Outcome.SUCCESS
    )
    mesh.request("lib", id="mine")
    mesh.until(lambda: mesh.builder.assignments)
    (lib,) = plan(mesh, "lib").jobs
    assert (lib.verdict, lib.why, lib.job_id) == ("build", "is being built already, by mine.1", "mine.1")
    mesh.send(e.BuildCancelRequested(request_id="mine"))
    mesh.finished("mine")


def test_large_plan_comes_in_parts_that_fit_into_messages() -> None:
    job = e.PlannedJob(number=1, source="demo", unit="packages/x", target="t", verdict="build", why="y" * 1000)
    accepted = e.RequestAccepted(
        request_id="p", source="demo", ref="main", revision="r", units=("packages/x",), accepted_at=1.0
    )
    totals = e.PlanTotals(jobs=3000)
    drawn = list(plan_parts(accepted, [job] * 3000, totals, 1.0))
    assert [(part.part, part.parts) for part in drawn] == [(number, len(drawn)) for number in range(len(drawn))]
    assert sum(len(part.jobs) for part in drawn) == 3000
    assert max(len(part.model_dump_json()) for part in drawn) < MAX_PART_BYTES + 2000
    assert drawn[0].totals == totals
    assert [part.jobs for part in plan_parts(accepted, [], totals, 1.0)] == [()]


def test_plan_names_the_packages_of_the_distribution_for_a_cycle() -> None:
    mesh = MemoryMesh(unit_files("egg", "hen") | unit_files("hen", "egg"))
    drawn = plan(mesh, "egg")
    assert [(job.unit[9:], job.why) for job in drawn.jobs if job.round == 1] == [
        ("egg", "never built, with the distribution's packages of packages/hen"),
        ("hen", "never built"),
    ]
