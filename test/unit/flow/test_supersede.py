"""Tests of pushes in a row in a whole mesh: which jobs are built, how requests end, and what is published."""

from collections.abc import Callable, Iterator
from random import Random
from threading import Event, Lock

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.factories import unit_files
from support.memory_mesh import URL, MemoryMesh


class Gate:
    """Keeps builds waiting until their name is in `open`, or `is_open` is set. `stopped`: names of canceled builds."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.is_open = False
        self.stopped: list[str] = []
        self._lock = Lock()

    def build(self, assignment: e.JobAssigned, log: Callable[[bytes], None], cancel: Event) -> Outcome:
        while not (self.is_open or assignment.name in self.open):
            if cancel.wait(0.001):
                with self._lock:
                    self.stopped.append(assignment.name)
                return Outcome.CANCELED
        return Outcome.SUCCESS


def files(**content: str) -> dict[str, bytes]:
    """Returns the files of lib ← tool ← card, and of other, which also needs lib."""
    needs = {"lib": (), "tool": ("lib",), "card": ("tool",), "other": ("lib",)}
    found: dict[str, bytes] = {}
    for name, names in needs.items():
        found |= unit_files(name, *names, content=content.get(name, ""))
    return found


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.is_open = True


@pytest.fixture
def mesh(gate: Gate) -> MemoryMesh:
    """Returns a mesh with two runners in which everything was built and published once."""
    mesh = MemoryMesh(files(), runners=2, build=gate.build)
    gate.is_open = True
    mesh.request("card", "other", id="first")
    mesh.finished("first")
    gate.is_open = False
    mesh.builder.assignments.clear()
    return mesh


def push(mesh: MemoryMesh, **content: str) -> str:
    """Pushes a commit, waits for its request, and returns the id of the request."""
    count = len(mesh.events(e.RequestAccepted))
    mesh.git.repository(URL).commit(files(**content))
    mesh.until(lambda: len(mesh.events(e.RequestAccepted)) > count)
    accepted = mesh.events(e.RequestAccepted)[-1]
    mesh.until(lambda: mesh.daemons["scheduler"].loop and accepted.request_id in mesh.scheduler.requests.by_id)
    return str(accepted.request_id)


def wait_for_builds(mesh: MemoryMesh, *names: str) -> None:
    mesh.until(lambda: [assignment.name for assignment in mesh.builder.assignments[-len(names) :]] == list(names))


def published(mesh: MemoryMesh) -> set[str]:
    """Returns the digests of the packages in the newest snapshot of the repository."""
    state = mesh.events(e.RepositoryPublished)[-1]
    packages = mesh.repositories.snapshots["demo-bookworm"][state.snapshot].packages["amd64"]
    return {artifact.sha256 for artifact in packages}


def outcomes(finished: e.RequestFinished) -> dict[str, Outcome]:
    return {job.unit.removeprefix("packages/"): job.outcome for job in finished.jobs}


def occupy_slots(mesh: MemoryMesh) -> None:
    """Occupies all slots with a request of another source."""
    mesh.send(e.SourceAddRequested(source="busy", url="memory:busy"))
    mesh.git.repository("memory:busy").commit(unit_files("one") | unit_files("two"))
    mesh.until(lambda: [event for event in mesh.events(e.SourceRevised) if event.source == "busy"])
    mesh.request("one", "two", id="busy", source="busy")
    mesh.until(lambda: {assignment.name for assignment in mesh.builder.assignments} >= {"one", "two"})


def test_only_the_last_of_three_pushes_is_built(mesh: MemoryMesh, gate: Gate) -> None:
    occupy_slots(mesh)
    first = push(mesh, lib="1")
    second = push(mesh, lib="2", other="2")
    third = push(mesh, lib="2", other="2", card="3")
    for old, new in ((first, second), (second, third)):
        ended = mesh.finished(old)
        assert (ended.outcome, ended.code) == (RequestOutcome.SUPERSEDED, "superseded")
        assert new in ended.message
        assert set(outcomes(ended).values()) == {Outcome.SUPERSEDED}
    gate.is_open = True
    last = mesh.finished(third)
    assert last.outcome is RequestOutcome.SUCCESS
    built = [assignment.name for assignment in mesh.first_builds() if assignment.source == "demo"]
    assert sorted(built) == ["card", "lib", "other", "tool"], "each once, though only card changed in the last push"
    assert published(mesh) == {artifact.sha256 for job in last.jobs for artifact in job.artifacts if artifact.package}


def test_push_stops_running_builds_of_replaced_trees(mesh: MemoryMesh, gate: Gate) -> None:
    first = push(mesh, lib="1")
    wait_for_builds(mesh, "lib")
    second = push(mesh, lib="2")
    ended = mesh.finished(first)
    assert ended.outcome is RequestOutcome.SUPERSEDED
    mesh.until(lambda: gate.stopped == ["lib"])
    gate.is_open = True
    last = mesh.finished(second)
    assert last.outcome is RequestOutcome.SUCCESS
    assert published(mesh) == {artifact.sha256 for job in last.jobs for artifact in job.artifacts if artifact.package}


def test_build_that_the_newer_push_needs_continues_and_is_used(mesh: MemoryMesh, gate: Gate) -> None:
    first = push(mesh, lib="1")
    wait_for_builds(mesh, "lib")
    second = push(mesh, lib="1", tool="2", other="2")
    mesh.round()
    assert gate.stopped == []
    gate.is_open = True
    last, ended = mesh.finished(second), mesh.finished(first)
    assert [assignment.name for assignment in mesh.first_builds()].count("lib") == 1
    assert (ended.outcome, outcomes(ended)["lib"]) == (RequestOutcome.SUPERSEDED, Outcome.SUCCESS)
    assert last.outcome is RequestOutcome.SUCCESS
    assert published(mesh) == {artifact.sha256 for job in last.jobs for artifact in job.artifacts if artifact.package}


def test_request_continues_when_the_newer_push_does_not_cover_it(mesh: MemoryMesh, gate: Gate) -> None:
    first = push(mesh, lib="1")
    wait_for_builds(mesh, "lib")
    second = push(mesh, lib="1", tool="2")  # its jobs are lib, tool and card; it does not build other with the new lib
    gate.is_open = True
    ended, last = mesh.finished(first), mesh.finished(second)
    assert (ended.outcome, last.outcome) == (RequestOutcome.SUCCESS, RequestOutcome.SUCCESS)
    assert outcomes(ended)["other"] is Outcome.SUCCESS
    newest = {a.sha256 for job in last.jobs for a in job.artifacts if a.package}
    other = {a.sha256 for job in ended.jobs if job.unit == "packages/other" for a in job.artifacts if a.package}
    assert published(mesh) == newest | other


def test_push_does_not_supersede_requests_of_users_and_other_branches(mesh: MemoryMesh, gate: Gate) -> None:
    mesh.request("lib", id="mine", ref=mesh.git.repository(URL).commit(files(lib="x"), "feature"))
    wait_for_builds(mesh, "lib")
    second = push(mesh, lib="2")
    gate.is_open = True
    assert mesh.finished("mine").outcome is RequestOutcome.SUCCESS
    assert mesh.finished(second).outcome is RequestOutcome.SUCCESS


def test_build_of_a_superseded_push_finishes_for_a_user_who_needs_it(mesh: MemoryMesh, gate: Gate) -> None:
    occupy_slots(mesh)
    first = push(mesh, lib="1")
    mesh.request("lib", id="mine")  # the same inputs: it waits for the push's job
    mesh.until(lambda: "mine" in mesh.scheduler.requests.by_id)
    second = push(mesh, lib="2")
    gate.is_open = True
    assert [mesh.finished(name).outcome for name in ("mine", first, second)] == ["success", "superseded", "success"]


@pytest.mark.parametrize("seed", range(4))
def test_newest_of_any_pushes_is_published_and_every_request_ends(seed: int) -> None:
    random = Random(seed)
    gate = Gate()
    mesh = MemoryMesh(files(), runners=2, build=gate.build, random=random)
    content: dict[str, str] = {}
    pushes = []
    for _ in range(random.randint(3, 6)):
        name = random.choice(["lib", "tool", "card", "other"])
        content[name] = random.choice(["", "1", "2", str(mesh.now)])
        gate.open = set(random.sample(["lib", "tool", "card", "other"], random.randint(0, 4)))
        count = len(mesh.events(e.RequestAccepted))
        before = mesh.git.repository(URL).branches["main"]
        if mesh.git.repository(URL).commit(files(**content)) != before:
            for _ in range(random.randint(1, 40)):
                mesh.round()
        pushes += mesh.events(e.RequestAccepted)[count:]
    gate.is_open = True
    mesh.wait(10)
    mesh.request("card", "other", id="last")
    last = mesh.finished("last")
    ends = {
        name: mesh.finished(name).outcome for name in [request.request_id for request in mesh.events(e.RequestAccepted)]
    }
    assert set(ends.values()) <= {RequestOutcome.SUCCESS, RequestOutcome.SUPERSEDED}
    assert set(outcomes(last).values()) <= {Outcome.REUSED, Outcome.SUCCESS, Outcome.SKIPPED}
    assert published(mesh) == {artifact.sha256 for job in last.jobs for artifact in job.artifacts if artifact.package}
    assert all(not names for names in mesh.scheduler.runners.jobs_by_runner.values())
