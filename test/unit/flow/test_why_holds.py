"""Why a job is not dispatched although it could start: no runner claims its offer, or it may have cost a runner.

The first part feeds events to cb-info; the second runs the whole mesh, where the hold really arises."""

from __future__ import annotations

from threading import Event
from typing import Any

from cloud_builder.flow.info.why import why
from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.priority import Priority
from cloud_builder.planning.schedule.queue import QueuePolicy
from support.factories import unit_files
from support.info_history import InfoHistory, lines, queued
from support.memory_mesh import MemoryMesh


def offered(**more: Any) -> e.Hold:
    defaults = {"since": 995.0, "until": 1007.0, "queue": "x86_64", "offers": 1, "max_offers": 3}
    return e.Hold(kind=e.HoldKind.OFFERED, **{**defaults, **more})


def isolated(*suspects: str, until: float = 1001.0) -> e.Hold:
    return e.Hold(kind=e.HoldKind.ISOLATED, until=until, suspects=suspects, runner_id="r2", lost_runners=("r1",))


# --- offers -----------------------------------------------------------------------------------------------------------


def test_offer_names_its_age_pool_and_expiry() -> None:
    history = (
        InfoHistory().accept().runner("r1", queues=("x86_64",), slots=2).runner("r2", ("r.9", 1), queues=("x86_64",))
    )
    cause = queued(history, hold=offered()).one("r.1")
    assert cause["kind"] == "waits-for-claim"
    assert cause["answer"] == (
        "offered to the runners of pool x86_64 for 5 s, 2 free slots there; "
        "returns to the queue in 7 s if no runner claims it"
    )
    assert lines(cause, "runners") == ["r1: 2 of 2 slots free", "r2: 0 of 1 slots free"]
    assert lines(cause, "offers") == [
        "1 of 3; if no runner claims any of them, the job is assigned to a runner directly"
    ]
    assert "log of r1" in cause["next"]


def test_offer_to_busy_runners_counts_no_free_slot() -> None:
    history = InfoHistory().accept().runner("r1", ("r.9", 1), queues=("x86_64",))
    cause = queued(history, hold=offered(offers=3)).one("r.1")
    assert "0 free slots there" in cause["answer"]
    assert cause["next"].startswith("Nothing to do")
    assert lines(cause, "offers") == [
        "3 of 3; the last offer: if no runner claims it, the job is assigned to a runner directly"
    ]


def test_offer_without_a_live_runner_advises_to_start_one() -> None:
    history = InfoHistory().accept().runner("r1", queues=("x86_64",), at=900.0).runner("r2")
    cause = queued(history, hold=offered()).one("r.1")
    assert cause["kind"] == "waits-for-claim"
    assert "no live runner takes offers there now" in cause["answer"]
    assert cause["next"].startswith("Start one")


def test_slot_reserved_for_an_offer_is_not_free_for_others() -> None:
    history = InfoHistory().accept().runner("r1", queues=("x86_64",))
    queued(history, "r.1", "first", hold=offered())
    cause = queued(history, "r.2", "urgent", priority=Priority.INTERACTIVE).one("r.2")
    assert (cause["kind"], cause["next"]) == ("waits-for-slot", "cb-ctl why r.1")
    assert "reserved for a job on offer to the pool: packages/first (r.1)" in cause["answer"]
    history.runner("r1", queues=("x86_64",), slots=2)
    assert history.one("r.2")["kind"] == "next-to-start"


def test_offered_job_listed_by_a_runner_is_starting() -> None:
    history = InfoHistory().accept().runner("r1", ("r.1", 1), queues=("x86_64",))
    assert queued(history, hold=offered()).one("r.1")["kind"] == "starting"


def test_expired_offer_is_no_longer_the_cause() -> None:
    history = InfoHistory().accept().runner("r1", queues=("x86_64",))
    cause = queued(history, hold=offered(since=900.0, until=912.0), at=890.0).one("r.1")
    assert cause["kind"] == "next-to-start"
    assert "Check that cb-scheduler runs" in cause["next"]


def test_requeued_job_is_no_longer_on_offer() -> None:
    history = queued(InfoHistory().accept().runner("r1", queues=("x86_64",)), hold=offered())
    assert queued(history, reason="no runner of pool x86_64 claimed it in time").one("r.1")["kind"] == "next-to-start"
    assert queued(history, hold=offered()).job(e.JobBlocked, reason="no runner").one("r.1")["kind"] != "waits-for-claim"


def test_unknown_hold_of_a_newer_scheduler_is_ignored() -> None:
    history = InfoHistory().accept().runner("r1")
    newer = e.Hold(kind="eclipse", until=1050.0)
    assert queued(history, hold=newer).one("r.1")["kind"] == "next-to-start"


# --- suspects ---------------------------------------------------------------------------------------------------------


def test_isolated_job_names_the_suspect_that_it_waits_for() -> None:
    history = InfoHistory().accept().runner("r2", ("r.2", 2), slots=2)
    history.job(e.JobQueued, "r.2", "other", input_key="2" * 64, expected_seconds=100.0)
    history.job(e.JobRunning, "r.2", "other", attempt=2, runner_id="r2", at=950.0)
    cause = queued(history, not_before=1001.0, attempt=1, hold=isolated("r.2")).one("r.1")
    assert (cause["kind"], cause["expected_start"]) == ("waits-isolated", 1050.0)
    assert cause["answer"].startswith(
        "waits until packages/other (r.2) on r2 has ended: a runner was lost or silent during this job (r1)"
    )
    assert "in about 50 s" in lines(cause, "starts")[0]


def test_isolated_job_names_a_suspect_that_has_just_ended() -> None:
    history = InfoHistory().accept().runner("r2", slots=2).finished(Outcome.SUCCESS, "r.2", "other")
    cause = queued(history, not_before=1001.0, hold=isolated("r.2")).one("r.1")
    assert cause["kind"] == "waits-isolated"
    assert "has ended" in cause["answer"]


def test_suspect_without_a_hold_waits_for_a_slot() -> None:
    history = (
        InfoHistory().accept().runner("r2", ("r.2", 2)).job(e.JobRunning, "r.2", "other", attempt=2, runner_id="r2")
    )
    assert queued(history, not_before=950.0, hold=isolated("r.2", until=950.0)).one("r.1")["kind"] == "waits-for-slot"


def test_job_with_two_suspected_losses_waits_for_a_silent_runner() -> None:
    history = InfoHistory().accept().runner("r3")
    hold = e.Hold(kind=e.HoldKind.SUSPECTED_LOSS, until=1020.0, lost_runners=("r1", "r2"))
    cause = queued(history, not_before=1020.0, attempt=2, reason="runner r2 was silent for 13 s", hold=hold).one("r.1")
    assert cause["kind"] == "waits-for-silent-runner"
    assert "r1, r2, lost or silent during this job" in cause["answer"] and "within 20 s" in cause["answer"]
    assert "next attempt" not in cause["answer"]


# --- the whole mesh ---------------------------------------------------------------------------------------------------


def cause_of(mesh: MemoryMesh, job: str) -> dict[str, Any]:
    state = mesh.daemons["info"].state
    if state.get("job", job) is None:
        return {"kind": "", "answer": ""}
    [cause] = why(job, state, mesh.now, QueuePolicy())["causes"]
    return cause


def causes_of(mesh: MemoryMesh, job: str, rounds: int = 2000) -> list[dict[str, Any]]:
    """Returns the answers of each round until the request has finished; equal ones in a row once."""
    found: list[dict[str, Any]] = []
    for _ in range(rounds):
        mesh.round()
        cause = cause_of(mesh, job)
        if not found or (found[-1]["kind"], offer_lines(found[-1])) != (cause["kind"], offer_lines(cause)):
            found.append(cause)
        if mesh.is_finished():
            return found
    raise AssertionError([cause["kind"] for cause in found])


def offer_lines(cause: dict[str, Any]) -> list[str]:
    return lines(cause, "offers") if cause.get("details") else []


def test_each_unclaimed_offer_is_reported() -> None:
    mesh = MemoryMesh(unit_files("alef"), dispatch=Dispatch.SHARED_QUEUE)
    mesh.wait(2)
    mesh.queues["r1"].take = lambda most: []  # type: ignore[method-assign]
    mesh.request("alef")
    causes = causes_of(mesh, "q.1")
    offers = [offer_lines(cause)[0][:6] for cause in causes if cause["kind"] == "waits-for-claim"]
    assert offers == ["1 of 3", "2 of 3", "3 of 3"]
    assert not [cause for cause in causes if cause["kind"] == "next-to-start" and cause["next"]]
    assert [event.hold.offers for event in mesh.events(e.JobQueued) if event.hold] == [1, 2, 3]


def test_offers_that_are_claimed_at_once_are_not_reported() -> None:
    mesh = MemoryMesh(unit_files("alef") | unit_files("bet"), runners=2, dispatch=Dispatch.SHARED_QUEUE)
    mesh.wait(2)
    mesh.request("alef", "bet")
    mesh.finished()
    assert len(mesh.events(e.JobOffered)) == 2
    assert [event.hold for event in mesh.events(e.JobQueued)] == [None, None]


def test_one_of_two_suspects_waits_for_the_other() -> None:
    is_released = Event()

    def build(assignment: e.JobAssigned, log: Any, cancel: Event) -> Outcome:
        while not is_released.is_set():
            if cancel.wait(0.001):
                return Outcome.CANCELED
        return Outcome.SUCCESS

    mesh = MemoryMesh(unit_files("alef") | unit_files("bet"), slots=2, build=build)
    mesh.request("alef", "bet")
    mesh.until(lambda: len(mesh.events(e.JobRunning)) == 2)
    mesh.kill("r1")
    mesh.wait(1)
    mesh.start("r1")
    kinds = {"building", "waits-isolated"}
    mesh.until(lambda: {cause_of(mesh, job)["kind"] for job in ("q.1", "q.2")} == kinds)
    isolated_job, running = sorted(("q.1", "q.2"), key=lambda job: cause_of(mesh, job)["kind"] == "building")
    for _ in range(100):
        mesh.round()
        cause = cause_of(mesh, isolated_job)
        assert cause["kind"] == "waits-isolated"
        assert running in cause["answer"] and "during this job (r1)" in cause["answer"]
    reasons = [event.reason for event in mesh.events(e.JobQueued) if event.hold]
    assert set(reasons) == {f"not beside {running} on r1: each of these jobs may have ended a runner"}
    is_released.set()
    assert mesh.finished().outcome == "success"
