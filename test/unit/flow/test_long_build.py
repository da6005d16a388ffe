"""Half an hour of build, by the mesh's clock: the runner keeps its lease, and the job is one attempt."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from support import memory_mesh
from support.factories import unit_files
from support.memory_mesh import MemoryMesh

HALF_AN_HOUR = 1800.0


class Kiln:
    """A build that says a line a minute and goes on until `ends`, by the clock of the mesh."""

    def __init__(self) -> None:
        self.mesh: MemoryMesh
        self.lines = 0

    def __call__(self, assignment, log, cancel) -> Outcome:
        began = self.mesh.now
        while not cancel.wait(0.0005):
            elapsed = self.mesh.now - began
            while self.lines * 60 < min(elapsed, HALF_AN_HOUR):
                self.lines += 1
                log(f"minute {self.lines}\n".encode())
            if elapsed > HALF_AN_HOUR:
                return Outcome.SUCCESS
        return Outcome.CANCELED


@pytest.fixture
def kiln(monkeypatch: pytest.MonkeyPatch) -> MemoryMesh:
    """Two runners, of which one has begun to build; from now on a step is two seconds."""
    build = Kiln()
    build.mesh = MemoryMesh(unit_files("oven"), runners=2, build=build)
    build.mesh.ask("packages/oven")
    build.mesh.until(lambda: build.mesh.events(e.AttemptStarted))
    monkeypatch.setattr(memory_mesh, "TICK", 2.0)
    return build.mesh


def test_build_of_half_an_hour_is_one_attempt_with_regular_heartbeats(kiln: MemoryMesh) -> None:
    [job] = kiln.finished().jobs
    [verdict] = kiln.events(e.JobFinished)
    assert (job.outcome, verdict.attempt) == (Outcome.SUCCESS, 1)
    [started], [ended] = kiln.events(e.AttemptStarted), kiln.events(e.AttemptFinished)
    assert ended.job_id == started.job_id == job.job_id
    assert kiln.events(e.JobRevoked) == []
    assert verdict.at - started.started_at > HALF_AN_HOUR
    text = "".join(piece.text for piece in kiln.events(e.LogAppended))
    assert [line for line in text.splitlines() if line.startswith("minute")] == [f"minute {n}" for n in range(1, 31)]
    [assignment] = kiln.events(e.JobAssigned)
    heard = [seen.at for seen in kiln.events(e.RunnerSeen) if seen.runner_id == assignment.runner_id]
    assert max(later - earlier for earlier, later in pairwise(heard)) < assignment.lease / 2


def test_long_build_starts_again_elsewhere_when_its_runner_is_killed(kiln: MemoryMesh) -> None:
    [assignment] = kiln.events(e.JobAssigned)
    kiln.wait(HALF_AN_HOUR - 60)
    died = kiln.now
    kiln.kill(assignment.runner_id)
    kiln.until(lambda: len(kiln.events(e.AttemptStarted)) == 2)
    assert kiln.now - died < 15 + 3 * memory_mesh.TICK
    assert kiln.events(e.AttemptStarted)[-1].runner_id != assignment.runner_id
