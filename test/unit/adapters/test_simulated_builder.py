"""The simulated builder: its packages are valid, and depend on the inputs alone."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Timer

import pytest

from cloud_builder.adapters.deb import binary_package
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.adapters.simulated import package
from cloud_builder.adapters.simulated.builder import SimulatedBuilder
from cloud_builder.model.events import JobAssigned
from cloud_builder.model.outcome import Outcome
from support.factories import assignment


def built(tmp_path: Path, assigned: JobAssigned):
    return SimulatedBuilder(MemoryStore(), tmp_path, 0.01).build(assigned, lambda piece: None, Event())


def test_simulated_package_is_a_valid_deb(tmp_path: Path) -> None:
    file = tmp_path / "hello.deb"
    described = package.described("hello", "1.0")
    file.write_bytes(package.deb(described, "any text"))
    assert binary_package.binary_package(binary_package.read(file)) == described


def test_simulated_package_depends_on_the_inputs_alone(tmp_path: Path) -> None:
    first, second = built(tmp_path, assignment()), built(tmp_path, assignment(job_id="q.2", attempt=4, runner_id="x"))
    assert first.outcome is Outcome.SUCCESS
    assert first.artifacts == second.artifacts
    assert built(tmp_path, assignment(tree="c" * 40)).artifacts != first.artifacts


def test_canceled_build_ends_and_leaves_nothing(tmp_path: Path) -> None:
    cancel = Event()
    Timer(0.05, cancel.set).start()
    result = SimulatedBuilder(MemoryStore(), tmp_path, 60.0).build(assignment(), lambda piece: None, cancel)
    assert result.outcome is Outcome.CANCELED
    assert not list((tmp_path / "jobs").iterdir())


@pytest.mark.parametrize("left", ["q.1.1.abc", "q.2.1.def"])
def test_sweep_removes_directories_of_a_killed_builder(tmp_path: Path, left: str) -> None:
    (tmp_path / "jobs" / left).mkdir(parents=True)
    SimulatedBuilder(MemoryStore(), tmp_path, 1.0).sweep()
    assert not (tmp_path / "jobs").exists()
