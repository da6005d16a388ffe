"""Why a job was not built, or failed: for each kind of cause the answer that must name it."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.info_history import KEY, OLD, OTHER_KEY, InfoHistory, inputs, lines, queued


@pytest.mark.parametrize(
    ("outcome", "code", "kind"), [(Outcome.REUSED, "", "reused"), (Outcome.SKIPPED, "unchanged", "unchanged")]
)
def test_reused_or_unchanged_job_names_the_earlier_job(outcome: Outcome, code: str, kind: str) -> None:
    history = InfoHistory().built("o.1", "lib", inputs())
    history.job(e.JobFinished, outcome=outcome, code=code, reused_from="o.1", input_key=OTHER_KEY)
    cause = history.one("r.1")
    assert cause["kind"] == kind
    assert f"o.1 at {OLD[:12]}, 14 min ago" in cause["answer"]


def test_failed_dependency_is_named_with_its_own_failure() -> None:
    history = (
        InfoHistory()
        .job(e.JobBlocked, "r.2", "mid", waiting_for=("r.1",))
        .job(e.JobBlocked, "r.3", "app", waiting_for=("r.2",))
    )
    history.finished(Outcome.FAILURE, "r.1", "base", step="build", message="base 1 does not build: base.c:3: error: x")
    for job, name in (("r.2", "mid"), ("r.3", "app")):
        history.job(e.JobFinished, job, name, outcome=Outcome.SKIPPED, code="dependency-failed", message="needs it")
    cause = history.one("app")
    assert (cause["kind"], cause["root"]["kind"], cause["root"]["job_id"]) == ("dependency-failed", "failed", "r.1")
    assert "packages/base for bookworm.x86_64 (through packages/mid)" in cause["answer"]
    assert "base.c:3: error: x" in cause["answer"]


def test_failure_names_its_step_and_the_last_good_build() -> None:
    history = queued(InfoHistory(), inputs=inputs("t2"))
    history.finished(Outcome.FAILURE, step="build", message="does not build: x\n  | y", hint="look", input_key=KEY)
    cause = history.one("r.1")
    assert (cause["kind"], cause["answer"], cause["next"]) == (
        "failed", "failure in step build: does not build: x", "look",
    )  # fmt: skip
    assert "never" in lines(cause, "last good")[0]
    history.built("o.1", "lib", inputs("t1"))
    cause = history.one("r.1")
    assert "with other inputs" in lines(cause, "last good")[1]
    assert "t1 → t2" in cause["because"][0]["text"]


def test_error_names_attempts_and_runners() -> None:
    history = InfoHistory()
    for attempt in (1, 2):
        history.apply(
            e.AttemptFinished(
                job_id="r.1", attempt=attempt, runner_id=f"r{attempt}", outcome=Outcome.ERROR, message="no route",
                started_at=1, finished_at=2,
            )
        )  # fmt: skip
    history.finished(Outcome.ERROR, message="no route (attempt 2 of 2, none worked)", attempt=2)
    cause = history.one("r.1")
    assert cause["kind"] == "error"
    assert lines(cause, "attempts") == ["1: r1, error: no route", "2: r2, error: no route"]
    assert "cb-ctl request packages/lib" in cause["next"]


@pytest.mark.parametrize(
    ("outcome", "code", "message", "kind"),
    [
        (Outcome.CANCELED, "canceled", "canceled by ann", "canceled"),
        (Outcome.CANCELED, "deadline", "the request's deadline of 1 h was over", "deadline"),
        (Outcome.SUPERSEDED, "superseded", "superseded by p-2", "superseded"),
        (Outcome.FAILURE, "dependency-cycle", "units build-depend on each other: a, b", "dependency-cycle"),
        (Outcome.FAILURE, "poison", "lost its runner twice: r1 (attempt 1), r2 (attempt 2)", "poison"),
    ],
)
def test_stopped_job_names_who_or_what_stopped_it(outcome: Outcome, code: str, message: str, kind: str) -> None:
    cause = InfoHistory().finished(outcome, code=code, message=message).one("r.1")
    assert cause["kind"] == kind
    assert message in cause["answer"]


def test_job_known_only_from_its_request_result_is_explained() -> None:
    result = e.JobResult(
        job_id="r.1", unit="packages/lib", target="bookworm.x86_64", outcome=Outcome.FAILURE, message="no"
    )
    history = InfoHistory().apply(
        e.RequestFinished(
            request_id="r", source="demo", outcome=RequestOutcome.FAILURE, jobs=(result,), finished_at=990.0
        )
    )
    assert (history.one("r.1")["kind"], history.one("lib")["answer"]) == ("failed", "failure: no")
    assert history.one("r")["root"]["job_id"] == "r.1"
