"""The builder that only pretends: its packages are real, and depend on the inputs alone."""

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


def built(tmp_path: Path, order: JobAssigned):
    return SimulatedBuilder(MemoryStore(), tmp_path, 0.01).build(order, lambda piece: None, Event())


def test_its_package_is_one(tmp_path: Path) -> None:
    file = tmp_path / "hello.deb"
    described = package.described("hello", "1.0")
    file.write_bytes(package.deb(described, "any text"))
    assert binary_package.binary_package(binary_package.read(file)) == described


def test_the_same_inputs_make_the_same_package_whoever_tries_and_how_often(tmp_path: Path) -> None:
    one, other = built(tmp_path, assignment()), built(tmp_path, assignment(job_id="q.2", attempt=4, runner_id="x"))
    assert one.outcome is Outcome.SUCCESS
    assert one.artifacts == other.artifacts
    assert built(tmp_path, assignment(tree="c" * 40)).artifacts != one.artifacts


def test_a_canceled_build_ends_and_leaves_nothing(tmp_path: Path) -> None:
    cancel = Event()
    Timer(0.05, cancel.set).start()
    ended = SimulatedBuilder(MemoryStore(), tmp_path, 60.0).build(assignment(), lambda piece: None, cancel)
    assert ended.outcome is Outcome.CANCELED
    assert not list((tmp_path / "jobs").iterdir())


@pytest.mark.parametrize("left", ["q.1.1.abc", "q.2.1.def"])
def test_a_sweep_removes_what_a_killed_one_left(tmp_path: Path, left: str) -> None:
    (tmp_path / "jobs" / left).mkdir(parents=True)
    SimulatedBuilder(MemoryStore(), tmp_path, 1.0).sweep()
    assert not (tmp_path / "jobs").exists()
