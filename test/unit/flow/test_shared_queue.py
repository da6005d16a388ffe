"""Tests of shared-queue dispatch in a whole mesh in memory: offers, claims, grants, and faults between them."""

from threading import Event

import pytest

from cloud_builder.adapters.memory.queue import MemoryGroup
from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.wiring.broker import read_offer
from support.factories import unit_files
from support.memory_mesh import Killed, MemoryMesh

NAMES = ("alef", "bet", "dalet", "gimel", "he")
FLAT = {path: content for name in NAMES for path, content in unit_files(name).items()}
LEASE = 12.0


def shared_mesh(files=FLAT, **more) -> MemoryMesh:
    return MemoryMesh(files, dispatch=Dispatch.SHARED_QUEUE, **more)


def attempts(events):
    return sorted((event.job_id, event.attempt) for event in events)


def wait_for_runners(mesh: MemoryMesh, *runners: str):
    """Waits until the scheduler has received heartbeats of the runners, so that they share the first jobs."""
    mesh.until(lambda: set(runners) <= set(mesh.scheduler.runners.by_id))


def test_each_job_is_offered_claimed_and_granted_once():
    mesh = shared_mesh(runners=2)
    wait_for_runners(mesh, "r1", "r2")
    mesh.request(*NAMES)
    assert mesh.finished().outcome == "success"
    offers, claims = attempts(mesh.events(e.JobOffered)), attempts(mesh.events(e.AttemptClaimed))
    assert offers == claims == attempts(mesh.events(e.JobAssigned)) == [(f"q.{number}", 1) for number in range(1, 6)]
    assert {offer.queue for offer in mesh.events(e.JobOffered)} == {"x86_64"}
    assert {assignment.runner_id for assignment in mesh.events(e.JobAssigned)} == {"r1", "r2"}
    assert mesh.events(e.ClaimRefused) == []


def test_offers_never_exceed_the_free_slots():
    mesh, most = shared_mesh(runners=2, slots=2), 0
    wait_for_runners(mesh, "r1", "r2")
    mesh.request(*NAMES)
    while not mesh.is_finished():
        jobs = mesh.scheduler.jobs.by_id.values()
        most = max(most, sum(job.takes_slot for job in jobs))
        mesh.round()
    assert most == 4


def kill_after_take(queue):
    """Kills the runner when it has taken an offer, before it claims it."""
    take = queue.take

    def take_and_be_killed(most):
        if take(most):
            raise Killed
        return []

    queue.take = take_and_be_killed


def test_runner_killed_between_take_and_claim_loses_nothing():
    mesh = shared_mesh(unit_files("alef"), runners=2)
    wait_for_runners(mesh, "r1", "r2")
    kill_after_take(mesh.queues["r1"])
    mesh.request("alef")
    requested = mesh.now
    assert mesh.finished().outcome == "success"
    assert mesh.now - requested < LEASE
    assert attempts(mesh.events(e.JobOffered)) == [("q.1", 1)]
    assert [assignment.runner_id for assignment in mesh.builder.assignments] == ["r2"]


def test_runner_killed_before_it_acknowledges_builds_nothing_twice():
    mesh = shared_mesh(unit_files("alef"), runners=2)
    wait_for_runners(mesh, "r1", "r2")
    mesh.kill("r2")
    mesh.queues["r1"].acknowledge = lambda taken: None
    mesh.request("alef")
    mesh.until(lambda: mesh.events(e.JobAssigned))
    mesh.kill("r1")
    mesh.start("r1", "r2")
    assert mesh.finished().outcome == "success"
    mesh.wait(2 * LEASE)
    assert [job.attempt for job in mesh.events(e.JobFinished)] == [
        max(assignment.attempt for assignment in mesh.events(e.JobAssigned))
    ]
    assert len({event.attempt for event in mesh.events(e.AttemptFinished) if event.outcome is Outcome.SUCCESS}) == 1
    assert mesh.events(e.ClaimRefused)


def test_claim_of_a_canceled_job_is_refused_and_its_slot_is_free_at_once():
    mesh = shared_mesh(unit_files("alef") | unit_files("bet"))
    wait_for_runners(mesh, "r1")
    take = mesh.queues["r1"].take
    mesh.queues["r1"].take = lambda most: []
    mesh.request("alef")
    mesh.until(lambda: mesh.events(e.JobOffered))
    mesh.send(e.BuildCancelRequested(request_id="q"))
    assert mesh.finished().outcome == "canceled"
    mesh.queues["r1"].take = take
    mesh.until(lambda: mesh.events(e.ClaimRefused))
    mesh.request("bet", id="next")
    refused = mesh.now
    assert mesh.finished("next").outcome == "success"
    assert mesh.now - refused < LEASE
    assert [assignment.name for assignment in mesh.builder.assignments] == ["bet"]


def test_unclaimed_job_is_offered_again_and_then_assigned_directly():
    mesh = shared_mesh(unit_files("alef"))
    wait_for_runners(mesh, "r1")
    mesh.queues["r1"].take = lambda most: []
    mesh.request("alef")
    assert mesh.finished().outcome == "success"
    assert attempts(mesh.events(e.JobOffered)) == [("q.1", 1)] * 3
    assert mesh.events(e.AttemptClaimed) == []


def test_restarted_scheduler_still_reports_an_expired_offer():
    mesh = shared_mesh(unit_files("alef"))
    wait_for_runners(mesh, "r1")
    mesh.queues["r1"].take = lambda most: []
    mesh.request("alef")
    mesh.until(lambda: any(event.hold for event in mesh.events(e.JobQueued)))
    mesh.kill("scheduler")
    mesh.start("scheduler")
    mesh.until(lambda: "claimed it in time" in mesh.events(e.JobQueued)[-1].reason)


def test_retry_is_assigned_to_another_runner_and_not_offered():
    def build(assignment, log, cancel: Event):
        return Outcome.ERROR if assignment.attempt == 1 else Outcome.SUCCESS

    mesh = shared_mesh(unit_files("alef"), runners=2, build=build)
    wait_for_runners(mesh, "r1", "r2")
    mesh.request("alef")
    assert mesh.finished().outcome == "success"
    first, second = mesh.events(e.JobAssigned)
    assert attempts(mesh.events(e.JobOffered)) == [("q.1", 1)]
    assert first.runner_id != second.runner_id


def test_jobs_are_assigned_directly_when_a_runner_takes_no_offers():
    mesh = shared_mesh(runners=2)
    wait_for_runners(mesh, "r1", "r2")
    for queue in mesh.queues.values():
        queue.names = ()
    mesh.wait(4)
    mesh.request(*NAMES)
    assert mesh.finished().outcome == "success"
    assert mesh.events(e.JobOffered) == []


@pytest.mark.parametrize("killed", ["scheduler", "r1"])
def test_open_offers_survive_a_restart(killed):
    mesh = shared_mesh(unit_files("alef"), runners=2)
    wait_for_runners(mesh, "r1", "r2")
    takes = {name: queue.take for name, queue in mesh.queues.items()}
    for queue in mesh.queues.values():
        queue.take = lambda most: []
    mesh.request("alef")
    mesh.until(lambda: mesh.events(e.JobOffered))
    mesh.kill(killed)
    mesh.start(killed)
    if killed == "scheduler":
        assert [job.state for job in mesh.scheduler.jobs.by_id.values()] == [JobState.OFFERED]
    for name, take in takes.items():
        mesh.queues[name].take = take
    assert mesh.finished().outcome == "success"
    assert len(mesh.builder.assignments) == 1


def test_queue_group_that_reads_all_offers_again_starts_nothing():
    mesh = shared_mesh(runners=2)
    wait_for_runners(mesh, "r1", "r2")
    mesh.request(*NAMES)
    mesh.finished()
    mesh.kill("r1", "r2")
    mesh.group = MemoryGroup(mesh.broker, read_offer)
    mesh.start("r1", "r2")
    mesh.wait(2 * LEASE)
    assert len(mesh.events(e.ClaimRefused)) == len(NAMES)
    assert len(mesh.builder.assignments) == len(mesh.events(e.JobAssigned)) == len(NAMES)


def test_offered_job_is_assigned_after_a_change_to_directed_dispatch():
    mesh = shared_mesh(unit_files("alef"))
    wait_for_runners(mesh, "r1")
    mesh.queues["r1"].take = lambda most: []
    mesh.request("alef")
    mesh.until(lambda: mesh.events(e.JobOffered))
    directed = MemoryMesh(unit_files("alef")).daemons["scheduler"].start
    mesh.kill("scheduler")
    mesh.daemons["scheduler"].start = directed
    mesh.start("scheduler")
    assert mesh.finished().outcome == "success"
    assert len(mesh.events(e.JobOffered)) == 1


def test_unanswered_claim_keeps_its_slot_for_one_lease():
    mesh = shared_mesh(unit_files("alef"))
    wait_for_runners(mesh, "r1")
    mesh.kill("scheduler")
    mesh.send(*(e.JobOffered(job_id=f"q.{number}", attempt=1, queue="x86_64", lease=LEASE) for number in (1, 2)))
    mesh.until(lambda: mesh.events(e.AttemptClaimed))
    mesh.wait(LEASE / 2)
    assert attempts(mesh.events(e.AttemptClaimed)) == [("q.1", 1)]
    mesh.wait(LEASE)
    assert attempts(mesh.events(e.AttemptClaimed)) == [("q.1", 1), ("q.2", 1)]


def test_claim_of_a_transaction_that_was_rolled_back_is_sent_again():
    mesh = shared_mesh(unit_files("alef"))
    wait_for_runners(mesh, "r1")
    state = mesh.daemons["r1"].state
    add, failed = state.outbox_add, []

    def fail_once(records):
        if not failed and any(record.topic == "cb.attempt" for record in records):
            failed.append(records)
            raise OSError("disk full")
        return add(records)

    state.outbox_add = fail_once
    mesh.request("alef")
    requested = mesh.now
    assert mesh.finished().outcome == "success"
    assert failed and mesh.now - requested < LEASE
    assert attempts(mesh.events(e.AttemptClaimed)) == [("q.1", 1)]
