"""Tests of a build of half an hour by the clock of the mesh: the runner keeps its lease, and there is one attempt."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from support import memory_mesh
from support.factories import unit_files
from support.memory_mesh import MemoryMesh

HALF_AN_HOUR = 1800.0


class LongBuild:
    """A build of half an hour that logs a line each minute, by the clock of the mesh."""

    def __init__(self) -> None:
        self.mesh: MemoryMesh
        self.lines = 0

    def __call__(self, assignment, log, cancel) -> Outcome:
        start = self.mesh.now
        while not cancel.wait(0.0005):
            elapsed = self.mesh.now - start
            while self.lines * 60 < min(elapsed, HALF_AN_HOUR):
                self.lines += 1
                log(f"minute {self.lines}\n".encode())
            if elapsed > HALF_AN_HOUR:
                return Outcome.SUCCESS
        return Outcome.CANCELED


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> MemoryMesh:
    """Returns a mesh with two runners, one of which has started the build. From now on a round takes two seconds."""
    build = LongBuild()
    build.mesh = MemoryMesh(unit_files("large"), runners=2, build=build)
    build.mesh.request("packages/large")
    build.mesh.until(lambda: build.mesh.events(e.AttemptStarted))
    monkeypatch.setattr(memory_mesh, "TICK", 2.0)
    return build.mesh


def test_build_of_half_an_hour_is_one_attempt_with_regular_heartbeats(mesh: MemoryMesh) -> None:
    [job] = mesh.finished().jobs
    [finished] = mesh.events(e.JobFinished)
    assert (job.outcome, finished.attempt) == (Outcome.SUCCESS, 1)
    [started], [ended] = mesh.events(e.AttemptStarted), mesh.events(e.AttemptFinished)
    assert ended.job_id == started.job_id == job.job_id
    assert mesh.events(e.JobRevoked) == []
    assert finished.at - started.started_at > HALF_AN_HOUR
    text = "".join(piece.text for piece in mesh.events(e.LogAppended))
    assert [line for line in text.splitlines() if line.startswith("minute")] == [f"minute {n}" for n in range(1, 31)]
    [assignment] = mesh.events(e.JobAssigned)
    heartbeats = [seen.at for seen in mesh.events(e.RunnerSeen) if seen.runner_id == assignment.runner_id]
    assert max(later - earlier for earlier, later in pairwise(heartbeats)) < assignment.lease / 2


def test_long_build_starts_again_elsewhere_when_its_runner_is_killed(mesh: MemoryMesh) -> None:
    [assignment] = mesh.events(e.JobAssigned)
    mesh.wait(HALF_AN_HOUR - 60)
    killed = mesh.now
    mesh.kill(assignment.runner_id)
    mesh.until(lambda: len(mesh.events(e.AttemptStarted)) == 2)
    assert mesh.now - killed < 15 + 3 * memory_mesh.TICK
    assert mesh.events(e.AttemptStarted)[-1].runner_id != assignment.runner_id
