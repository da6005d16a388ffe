"""Why, with the whole mesh: real events of all daemons, and answers that name what the test did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from threading import Event
from typing import Any

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.info.projection import apply_event
from cloud_builder.flow.info.why import why
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.schedule.queue import QueuePolicy
from support.factories import unit_files
from support.memory_mesh import URL, MemoryMesh


def files(**content: str) -> dict[str, bytes]:
    """Returns units: base ← lib ← app, and other, which is independent."""
    needs = {"base": (), "lib": ("base",), "app": ("lib",), "other": ()}
    found: dict[str, bytes] = {}
    for name, names in needs.items():
        found |= unit_files(name, *names, content=content.get(name, ""))
    return found


class Gate:
    """A builder. Builds succeed once the gate is open; units in `outcomes` end with that outcome, at once."""

    def __init__(self) -> None:
        self.is_open = True
        self.outcomes: dict[str, Outcome] = {}

    def build(self, assignment: e.JobAssigned, log: Callable[[bytes], None], cancel: Event) -> Outcome:
        while not self.is_open and assignment.name not in self.outcomes:
            if cancel.wait(0.001):
                return Outcome.CANCELED
        return self.outcomes.get(assignment.name, Outcome.SUCCESS)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.is_open = True


def cause_of(mesh: MemoryMesh, word: str) -> dict[str, Any]:
    [cause] = why(word, mesh.daemons["info"].state, mesh.now, QueuePolicy())["causes"]
    return cause


def until(mesh: MemoryMesh, word: str, kind: str) -> dict[str, Any]:
    """Waits until the cause is of that kind: events reach cb-info with a delay."""

    def is_so() -> bool:
        document = mesh.daemons["info"].state.get("job", word) or mesh.daemons["info"].state.get("request", word)
        return bool(document) and cause_of(mesh, word)["kind"] == kind

    mesh.until(is_so)
    return cause_of(mesh, word)


def push(mesh: MemoryMesh, **content: str) -> str:
    count = len(mesh.events(e.RequestAccepted))
    mesh.git.repository(URL).commit(files(**content))
    mesh.until(lambda: len(mesh.events(e.RequestAccepted)) > count)
    return str(mesh.events(e.RequestAccepted)[-1].request_id)


def job_of(mesh: MemoryMesh, request: str, name: str) -> str:
    """Waits until cb-info has the job of a request; returns its id."""
    state = mesh.daemons["info"].state

    def found() -> list[str]:
        return [key for key, body in state.find("job", parent=request) if body["unit"] == f"packages/{name}"]

    mesh.until(found)
    return found()[0]


def built_once(gate: Gate) -> MemoryMesh:
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("app", "other", id="first")
    mesh.finished("first")
    return mesh


def test_blocked_job_names_the_root_of_its_dependencies(gate: Gate) -> None:
    gate.is_open = False
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("app")
    until(mesh, job_of(mesh, "q", "base"), "building")
    cause = cause_of(mesh, job_of(mesh, "q", "app"))
    assert (cause["kind"], cause["root"]["unit"]) == ("waits-for-dependency", "packages/base")
    assert "never built before" in cause["answer"]
    assert cause_of(mesh, "q")["root"]["root"]["unit"] == "packages/base"


def test_job_waits_for_the_only_slot(gate: Gate) -> None:
    gate.is_open = False
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("other", id="one")
    until(mesh, "one.1", "building")
    mesh.request("base", id="two")
    cause = until(mesh, "two.1", "waits-for-slot")
    assert "packages/other" in str(cause["details"])


def test_job_waits_for_its_duplicate(gate: Gate) -> None:
    gate.is_open = False
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("other", id="one")
    until(mesh, "one.1", "building")
    mesh.request("other", id="two")
    assert until(mesh, "two.1", "waits-for-duplicate")["root"]["job_id"] == "one.1"


def test_job_without_a_live_runner_names_the_architecture() -> None:
    mesh = MemoryMesh(files(), runners=0)
    mesh.request("other")
    assert "x86_64" in until(mesh, "q.1", "waits-for-runner")["answer"]


def test_job_that_waits_after_an_error_names_the_attempt(gate: Gate) -> None:
    gate.outcomes["other"] = Outcome.ERROR
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("other")
    assert "r1, error" in str(until(mesh, "q.1", "waits-after-error")["details"])


def test_job_too_large_for_all_runners_names_what_they_lack() -> None:
    tree = unit_files("big")
    manifest = "projects/packages/big/.cb/cloud_builder.yml"
    tree[manifest] += b"constraints: {memory: 64G, tags: [fast]}\n"
    mesh = MemoryMesh(tree)
    mesh.request("big")
    cause = until(mesh, "q.1", "waits-for-capacity")
    assert "memory 64 GiB, tag fast" in cause["answer"]
    assert "r1 has memory 4 GiB, has no tag fast" in str(cause["details"])


def test_queued_job_names_the_quarantined_runner_and_its_errors(gate: Gate) -> None:
    names = [f"unit{number}" for number in range(3)]
    gate.outcomes = dict.fromkeys(names, Outcome.ERROR)
    tree: dict[str, bytes] = {}
    for name in names:
        tree |= unit_files(name)
    mesh = MemoryMesh(tree, build=gate.build)
    mesh.request(*names)
    mesh.until(lambda: mesh.events(e.RunnerQuarantined))
    cause = until(mesh, "q.1", "waits-for-quarantined-runner")
    assert "r1 for" in cause["answer"]
    assert "ended in error" in cause["answer"]


def test_bulk_job_names_the_interactive_job_ahead_of_it(gate: Gate) -> None:
    gate.is_open = False
    mesh = MemoryMesh(files() | unit_files("urgent"), build=gate.build)
    mesh.request("base", id="long")
    until(mesh, "long.1", "building")
    mesh.request("other", id="bulk", priority="bulk")
    until(mesh, "bulk.1", "waits-for-slot")
    mesh.request("urgent", id="soon", priority="interactive")
    job_of(mesh, "soon", "urgent")
    assert "packages/urgent (soon.1): priority interactive" in str(cause_of(mesh, "bulk.1")["details"])


def test_running_build_names_the_push_and_its_files(gate: Gate) -> None:
    mesh = built_once(gate)
    gate.is_open = False
    request = push(mesh, base="new")
    cause = until(mesh, job_of(mesh, request, "base"), "building")
    assert [difference["kind"] for difference in cause["because"]] == ["files"]
    assert "content" in cause["answer"]
    assert "push of" in str(cause["details"])


def test_dependant_names_the_changed_dependency_and_its_files(gate: Gate) -> None:
    mesh = built_once(gate)
    request = push(mesh, base="new")
    mesh.finished(request)
    cause = until(mesh, job_of(mesh, request, "lib"), "built")
    [difference] = cause["because"]
    assert (difference["kind"], difference["request_id"]) == ("dependency", request)
    assert "base changed" in difference["text"]
    assert "packages/base: files of packages/base changed" in difference["lines"][0]
    assert "content" in difference["lines"][0]


def test_reused_job_names_the_earlier_job(gate: Gate) -> None:
    mesh = built_once(gate)
    mesh.request("other", id="again")
    mesh.finished("again")
    assert job_of(mesh, "first", "other") in until(mesh, "again.1", "reused")["answer"]


def test_unchanged_dependant_names_its_earlier_job(gate: Gate) -> None:
    mesh = built_once_the_same_bytes(gate)
    request = push(mesh, base="a comment")
    mesh.finished(request)
    cause = until(mesh, job_of(mesh, request, "lib"), "unchanged")
    assert job_of(mesh, "first", "lib") in cause["answer"]
    assert "1 built" in until(mesh, request, "request-succeeded")["answer"]


def built_once_the_same_bytes(gate: Gate) -> MemoryMesh:
    """Builds once; outputs do not depend on the inputs."""
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.builder.content = lambda assignment: f"{assignment.name} 1 amd64"
    mesh.request("app", "other", id="first")
    mesh.finished("first")
    return mesh


def test_failure_is_the_root_of_skipped_jobs(gate: Gate) -> None:
    gate.outcomes["base"] = Outcome.FAILURE
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("app")
    mesh.finished()
    base, app = (job_of(mesh, "q", name) for name in ("base", "app"))
    cause = until(mesh, app, "dependency-failed")
    assert (cause["root"]["job_id"], cause["root"]["kind"]) == (base, "failed")
    assert until(mesh, "q", "failed")["root"]["job_id"] == base


def test_cycle_that_cannot_begin_is_the_root_of_skipped_jobs(gate: Gate) -> None:
    cycle = {
        **unit_files("egg", "hen"),
        **unit_files("hen", "egg"),
        **unit_files("nest", "egg"),
        **unit_files("home", "nest"),
    }
    mesh = MemoryMesh({**files(), **cycle}, build=gate.build)
    gate.outcomes["egg"] = Outcome.FAILURE
    mesh.builder.failure = {"code": "build-dependency", "message": "Build-Depends: hen cannot be satisfied"}
    mesh.request("home", "other")
    assert {(job.unit[9:], job.code) for job in mesh.finished().jobs if job.code != "unchanged"} == {
        ("egg", "dependency-cycle"), ("egg", "dependency-failed"), ("hen", "dependency-failed"),
        ("nest", "dependency-failed"), ("home", "dependency-failed"), ("other", ""),
    }  # fmt: skip
    home = job_of(mesh, "q", "home")
    cause = until(mesh, home, "dependency-failed")
    assert cause["root"]["kind"] == "dependency-cycle"
    assert "none of them is published: packages/egg, packages/hen" in cause["answer"]
    assert "<!stage1>" in cause["next"]
    assert until(mesh, "q", "failed")["root"]["kind"] == "dependency-cycle"


def test_dependencies_of_a_finished_job_are_kept(gate: Gate) -> None:
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("app")
    mesh.finished()
    app = job_of(mesh, "q", "app")
    until(mesh, app, "built")
    assert mesh.daemons["info"].state.get("job", app)["needs"] == [job_of(mesh, "q", "lib")]


def test_failure_after_a_success_names_the_changed_input(gate: Gate) -> None:
    mesh = built_once(gate)
    gate.outcomes["base"] = Outcome.FAILURE
    request = push(mesh, base="broken")
    mesh.finished(request)
    cause = until(mesh, job_of(mesh, request, "base"), "failed")
    assert "with other inputs" in str(cause["details"])
    assert "content" in cause["because"][0]["text"]


def test_canceled_job_names_who_canceled_it(gate: Gate) -> None:
    gate.is_open = False
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("other")
    until(mesh, "q.1", "building")
    mesh.send(e.BuildCancelRequested(request_id="q", requester="ann"))
    assert "canceled by ann" in until(mesh, "q.1", "canceled")["answer"]
    assert until(mesh, "q", "canceled")


def test_superseded_job_and_request_name_the_newer_push(gate: Gate) -> None:
    mesh = built_once(gate)
    gate.is_open = False
    mesh.kill("r1")
    older = push(mesh, base="one")
    job = job_of(mesh, older, "base")
    newer = push(mesh, base="two")
    assert newer in until(mesh, job, "superseded")["answer"]
    assert newer in until(mesh, older, "superseded")["answer"]


def test_rejected_request_names_the_nearest_unit() -> None:
    mesh = MemoryMesh(files())
    mesh.request("oter", id="no")
    cause = until(mesh, "no", "rejected")
    assert "oter" in cause["answer"]
    assert "other" in cause["next"]


@pytest.mark.parametrize("seed", range(2))
def test_events_in_any_order_always_give_an_answer(gate: Gate, seed: int) -> None:
    gate.outcomes["other"] = Outcome.FAILURE
    mesh = MemoryMesh(files(), build=gate.build)
    mesh.request("app", "other", id="first")
    mesh.finished("first")
    mesh.finished(push(mesh, base="new"))
    events = [*mesh.events()] * 2
    Random(seed).shuffle(events)
    state = MemoryState()
    for number, event in enumerate(events):
        apply_event(event, state)
        if number % 10 == 0:
            for kind in ("job", "request"):
                for key, _ in list(state.find(kind)):
                    assert why(key, state, mesh.now, QueuePolicy())["causes"][0]["answer"]
