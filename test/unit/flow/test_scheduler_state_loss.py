"""Tests of a scheduler whose machine is lost repeatedly, with all of its state: every request still succeeds.

This holds for any order of events, and also when the last send was incomplete (without transactions).
"""

from random import Random
from threading import Event

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.factories import unit_files
from support.memory_mesh import MemoryMesh
from support.waiting import LIMIT

CHAIN = unit_files("lib") | unit_files("tool", "lib") | unit_files("card", "tool") | unit_files("alone")
REQUESTS = ("one", "two", "three")


def lose_machine(mesh, random):
    if random.random() < 0.5:
        mesh.daemons["scheduler"].connection.cut_after = random.randint(0, 6)
        for _ in range(20):
            mesh.round()
            if mesh.daemons["scheduler"].loop is None:
                break
    mesh.kill("scheduler")
    mesh.daemons["scheduler"].state = MemoryState()
    mesh.start("scheduler")


@pytest.mark.parametrize("seed", range(8))
def test_every_request_succeeds_after_repeated_state_losses(seed):
    random = Random(seed)
    mesh = MemoryMesh(CHAIN, runners=2, slots=2, random=random)
    for request in REQUESTS:
        mesh.request("card", "alone", id=request)
        for _ in range(random.randint(0, 30)):
            mesh.round()
        lose_machine(mesh, random)
    finished = {request: mesh.finished(request) for request in REQUESTS}
    assert {request.outcome for request in finished.values()} == {RequestOutcome.SUCCESS}
    assert {len(request.jobs) for request in finished.values()} == {4}
    mesh.wait(30)
    before, built = mesh.sizes(), len(mesh.builder.assignments)
    lose_machine(mesh, Random(1))
    mesh.wait(30)
    grown = {partition for partition, size in mesh.sizes().items() if size != before[partition]}
    assert all("cb.result" in name or "cb.state" in name for name in grown), "only the last results are emitted again"
    assert len(mesh.builder.assignments) == built


def test_recent_usage_is_restored_on_a_new_machine():
    built = Event()
    mesh = MemoryMesh(CHAIN)
    mesh.builder.outcome_of = lambda assignment, log, cancel: Outcome.SUCCESS if built.wait(LIMIT) else Outcome.ERROR
    mesh.request("alone")
    mesh.until(lambda: mesh.builder.assignments)
    mesh.wait(20)
    built.set()
    mesh.finished()
    mesh.wait(12)
    before = mesh.daemons["scheduler"].state.get("usage", "shares")
    assert before["sources"][0]["used"][-1] >= 20.0
    mesh.kill("scheduler")
    mesh.daemons["scheduler"].state = MemoryState()
    mesh.start("scheduler")
    mesh.wait(1)
    assert mesh.daemons["scheduler"].state.get("usage", "shares") == before


@pytest.mark.parametrize("seed", range(4))
def test_state_loss_between_two_sends_costs_no_attempt(seed):
    random = Random(seed)
    mesh = MemoryMesh(CHAIN, runners=2, slots=2, random=random)
    mesh.request("card", "alone")
    for _ in range(random.randint(1, 60)):
        mesh.round()
    mesh.kill("scheduler")
    mesh.daemons["scheduler"].state = MemoryState()
    mesh.start("scheduler")
    assert mesh.finished().outcome is RequestOutcome.SUCCESS
    ended = [event for event in mesh.events(e.AttemptFinished) if event.outcome is Outcome.SUCCESS]
    assert {event.attempt for event in ended} == {1}
    assert len({event.job_id for event in ended}) == len(ended)
