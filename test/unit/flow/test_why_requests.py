"""Why of requests and units: the summary of their jobs."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_builder.errors import Rejected
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.unit import Problem, UnitChange
from support.info_history import KEY, NEW, OLD, TARGET, InfoHistory, inputs, lines, queued, revised, unit


def test_request_without_jobs_waits_for_the_scheduler() -> None:
    cause = InfoHistory().accept().one("r")
    assert (cause["kind"], "cb-scheduler" in cause["answer"]) == ("waits-for-plan", True)


def test_running_request_names_its_critical_path() -> None:
    history = (
        InfoHistory()
        .accept()
        .runner("r1", ("r.1", 1))
        .job(e.JobRunning, "r.1", "base", attempt=1, runner_id="r1", at=950.0)
    )
    cause = history.job(e.JobBlocked, "r.2", "app", waiting_for=("r.1",)).one("r")
    assert (cause["kind"], cause["root"]["job_id"], cause["root"]["root"]["job_id"]) == ("request-runs", "r.2", "r.1")
    assert "2 of 2 jobs are not finished" in cause["answer"]


def test_request_without_open_jobs_waits_for_its_publication() -> None:
    history = InfoHistory().accept().finished(Outcome.SUCCESS, publish=True, repository="demo-bookworm")
    cause = history.one("r")
    assert (cause["kind"], "demo-bookworm" in cause["answer"]) == ("waits-for-publication", True)


def ended(outcome: RequestOutcome, **more: Any) -> e.RequestFinished:
    return e.RequestFinished(request_id="r", source="demo", outcome=outcome, finished_at=995.0, **more)


def test_successful_request_gives_its_summary() -> None:
    history = InfoHistory().accept().finished(Outcome.SUCCESS)
    history.job(e.JobFinished, "r.2", "app", outcome=Outcome.SKIPPED, code="unchanged", reused_from="o.2")
    history.apply(ended(RequestOutcome.SUCCESS, summary=e.Summary(built=1, unchanged=1, saved=75.0)))
    cause = history.one("r")
    assert cause["kind"] == "request-succeeded"
    assert "1 built, 0 reused, 1 unchanged and therefore not built, which saved 1 min 15 s" in cause["answer"]


def test_failed_request_names_the_failure_and_not_the_skipped_jobs() -> None:
    history = InfoHistory().accept().job(e.JobBlocked, "r.2", "app", waiting_for=("r.1",))
    history.finished(Outcome.FAILURE, "r.1", "lib", message="does not build: x")
    history.job(e.JobFinished, "r.2", "app", outcome=Outcome.SKIPPED, code="dependency-failed")
    cause = history.apply(ended(RequestOutcome.FAILURE)).one("r")
    assert (cause["kind"], cause["root"]["job_id"]) == ("failed", "r.1")
    assert "does not build: x" in cause["answer"]


@pytest.mark.parametrize(
    ("event", "kind", "answer"),
    [
        (
            e.RequestRejected(request_id="r", code="unknown-unit", message="no unit helo", rejected_at=1),
            "rejected",
            "helo",
        ),
        (ended(RequestOutcome.CANCELED, message="canceled by ann"), "canceled", "canceled by ann"),
        (ended(RequestOutcome.SUPERSEDED, message="superseded by p-2"), "superseded", "p-2"),
        (ended(RequestOutcome.CANCELED, code="deadline", message="took longer than 1 h"), "deadline", "1 h"),
        (
            ended(RequestOutcome.ERROR, message="demo-bookworm could not be published"),
            "error",
            "could not be published",
        ),
    ],
)
def test_finished_request_names_its_outcome_and_cause(event: e.Payload, kind: str, answer: str) -> None:
    cause = InfoHistory().apply(event).one("r")
    assert cause["kind"] == kind
    assert answer in cause["answer"]


def test_unit_is_explained_by_its_newest_job_on_each_target() -> None:
    history = queued(queued(InfoHistory().runner()), "s.1", at=950.0)
    history.job(e.JobQueued, "s.2", input_key=KEY, target=TARGET.model_copy(update={"name": "sid.x86_64"}), at=950.0)
    assert {(cause["job_id"], cause["target"]) for cause in history.why("lib")} == {
        ("s.1", "bookworm.x86_64"),
        ("s.2", "sid.x86_64"),
    }


def test_unit_of_a_cycle_is_explained_by_its_last_round() -> None:
    history = InfoHistory().runner()
    for number in (9, 10, 8):
        history.job(e.JobBlocked, f"r.{number}", waiting_for=())
    assert history.one("lib")["job_id"] == "r.10"


PROBLEM = Problem(path="packages/lib", file="packages/lib/debian/control", line=3, message="no field", hint="x")
BROKEN = revised(NEW, unit("lib", "t2").model_copy(update={"problems": (PROBLEM,)}))


@pytest.mark.parametrize("announced", [BROKEN, revised(NEW, problems=(PROBLEM,))])
@pytest.mark.parametrize("name", ["lib", "packages/lib", "demo:packages/lib"])
def test_broken_unit_names_file_line_and_cause(announced: e.SourceRevised, name: str) -> None:
    cause = InfoHistory().apply(announced).one(name)
    assert (cause["kind"], cause["next"]) == ("broken-unit", "x")
    assert "packages/lib/debian/control:3: no field" in cause["answer"]


def test_broken_unit_is_reported_before_its_last_job() -> None:
    history = InfoHistory().built("o.1", "lib", inputs("t1")).apply(BROKEN)
    assert [cause["kind"] for cause in history.why("lib")] == ["broken-unit", "built"]
    failed = {"outcome": Outcome.FAILURE, "code": "broken-unit", "message": str(PROBLEM)}
    cause = history.job(e.JobFinished, **failed).one("lib")
    assert (cause["kind"], cause["job_id"]) == ("broken-unit", "r.1")
    assert "packages/lib/debian/control:3: no field" in cause["answer"]


def test_request_lists_its_builds_with_their_causes() -> None:
    history = queued(InfoHistory().built("o.1", "lib", inputs("t1")).accept(), inputs=inputs("t2")).finished(
        Outcome.SUCCESS
    )
    assert "t1 → t2" in lines(history.one("r"), "built")[0]


def test_unit_that_was_never_requested_gets_the_command() -> None:
    cause = InfoHistory().apply(revised(NEW, unit("lib", "t1"))).one("packages/lib")
    assert (cause["kind"], cause["next"]) == ("never-asked", "cb-ctl request packages/lib")


@pytest.mark.parametrize(("word", "hint"), [("r.1.", "r.1"), ("libb", "packages/lib"), ("", "")])
def test_unknown_name_is_rejected_with_the_nearest_name(word: str, hint: str) -> None:
    history = queued(InfoHistory().apply(revised(NEW, unit("lib", "t1"))))
    with pytest.raises(Rejected) as rejected:
        history.why(word)
    assert hint in rejected.value.hint


def test_beginning_of_an_id_is_enough() -> None:
    assert queued(InfoHistory().runner(), "r-abc.1").one("r-ab")["job_id"] == "r-abc.1"


def test_repeated_events_change_no_answer() -> None:
    events = [
        revised(OLD, unit("lib", "t1")),
        revised(NEW, unit("lib", "t2"), changes=(UnitChange(path="packages/lib", files=("lib.c",)),)),
    ]
    history = InfoHistory().built("o.1", "lib", inputs("t1")).apply(*events)
    queued(history, inputs=inputs("t2")).finished(Outcome.SUCCESS, input_key=KEY)
    before = history.one("r.1")
    history.apply(*events).built("o.1", "lib", inputs("t1"))
    queued(history, inputs=inputs("t2")).finished(Outcome.SUCCESS, input_key=KEY)
    assert history.one("r.1") == before
    assert "lib.c" in before["answer"]
