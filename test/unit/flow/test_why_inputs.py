"""Why a job is, or was, built: which input changed, and who changed it."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.inputs import Inputs
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import UnitChange
from support.info_history import KEY, NEW, OLD, InfoHistory, deb, inputs, lines, queued, revised, unit, used


def test_running_build_names_the_files_that_pushes_changed() -> None:
    history = InfoHistory().built("o.1", "lib", inputs("t1"))
    history.apply(revised(OLD, unit("lib", "t1")))
    history.apply(revised("c" * 40, unit("lib", "t2"), changes=(UnitChange(path="packages/lib", files=("README",)),)))
    history.apply(revised(NEW, unit("lib", "t3"), changes=(UnitChange(path="packages/lib", files=("lib.c",), more=2),)))
    history.accept(origin="push", requester="")
    queued(history, inputs=inputs("t3")).job(e.JobRunning, attempt=1, runner_id="r1", at=980.0)
    cause = history.one("r.1")
    assert (cause["kind"], cause["because"][0]["kind"]) == ("building", "files")
    assert "lib.c, README and 2 more" in cause["answer"]
    assert f"r: push of {NEW[:12]} to main, 1 min 40 s ago" in lines(cause, "request")
    assert f"o.1 at {OLD[:12]}, 14 min ago, took 50 s" in lines(cause, "last good")


def test_unverified_packages_are_named() -> None:
    history = queued(InfoHistory(), inputs=inputs("t1", unverified=("http://mirror/debian",)))
    text = 'no signature of http://mirror/debian is checked (repository_gpgcheck="false")'
    assert text in lines(history.one("r.1"), "unverified")
    assert lines(queued(InfoHistory(), inputs=inputs("t1")).one("r.1"), "unverified") == []


def test_changed_files_are_not_listed_when_a_push_event_is_missing() -> None:
    history = InfoHistory().built("o.1", "lib", inputs("t1"))
    cause = queued(history, inputs=inputs("t3")).job(e.JobRunning, attempt=1, runner_id="r1", at=980.0).one("r.1")
    assert f"files of packages/lib changed at {NEW[:12]} (tree t1 → t3)" in cause["answer"]


def test_changed_dependency_is_named_with_the_push_that_caused_it() -> None:
    history = (
        InfoHistory()
        .built("o.1", "lib", inputs("t1"), (deb("lib", "3"),))
        .built("o.2", "app", inputs("a", used("lib", "3")))
    )
    history.apply(revised(OLD, unit("lib", "t1"), unit("app", "a")))
    change = UnitChange(path="packages/lib", files=("lib.c",))
    history.apply(revised(NEW, unit("lib", "t2"), unit("app", "a"), changes=(change,)))
    queued(history, "r.1", "lib", inputs=inputs("t2")).finished(
        Outcome.SUCCESS, "r.1", "lib", artifacts=(deb("lib", "4"),), input_key=KEY
    )
    history.accept(origin="push")
    queued(history, "r.2", "app", inputs=inputs("a", used("lib", "4")), at=991.0)
    history.job(e.JobRunning, "r.2", "app", attempt=1, runner_id="r1", at=992.0)
    [difference] = history.one("r.2")["because"]
    assert (difference["kind"], difference["job_id"], difference["request_id"]) == ("dependency", "r.1", "r")
    assert "lib changed: 3333333333 → 4444444444, built by packages/lib (r.1)" in difference["text"]
    assert difference["lines"] == [f"packages/lib: files of packages/lib changed at {NEW[:12]}: lib.c"]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (inputs(buildroot="5" * 64), inputs(buildroot="6" * 64), "buildroot"),
        (inputs(repositories="5" * 64), inputs(repositories="6" * 64), "repositories"),
        (inputs(profiles=("stage1",)), inputs(), "profiles"),
        (inputs(), inputs().model_copy(update={"recipe": 2}), "recipe"),
        (inputs("t", used("lib", "3")), inputs("t"), "dependency"),
        (inputs("t"), inputs("t", used("lib", "3")), "dependency"),
    ],
)
def test_changed_input_is_named_by_its_kind(before: Inputs, after: Inputs, kind: str) -> None:
    history = queued(InfoHistory().built("o.1", "lib", before), inputs=after).job(
        e.JobRunning, attempt=1, runner_id="r1"
    )
    assert [difference["kind"] for difference in history.one("r.1")["because"]] == [kind]


def test_first_build_of_a_unit_is_named_as_such() -> None:
    cause = queued(InfoHistory(), inputs=inputs()).job(e.JobRunning, attempt=1, runner_id="r1").one("r.1")
    assert (cause["kind"], cause["because"][0]["kind"]) == ("building", "never-built")


def test_silence_of_the_runner_is_shown_during_a_build() -> None:
    history = queued(InfoHistory().runner("r1", ("r.1", 1), at=970.0)).job(e.JobRunning, attempt=1, runner_id="r1")
    assert "last seen 30 s ago" in lines(history.one("r.1"), "silent")[0]


def test_repeated_request_after_a_failure_names_the_failed_job() -> None:
    history = queued(InfoHistory(), "o.1", inputs=inputs(), at=100.0).job(
        e.JobRunning, "o.1", attempt=1, runner_id="r1", at=110.0
    )
    history.job(e.JobFinished, "o.1", outcome=Outcome.FAILURE, input_key=KEY, at=120.0)
    cause = queued(history, inputs=inputs()).job(e.JobRunning, attempt=1, runner_id="r1").one("r.1")
    assert [difference["kind"] for difference in cause["because"]] == ["asked-again", "never-built"]
    assert "ended in failure the last time (o.1)" in cause["answer"]


def test_job_event_without_inputs_gives_no_comparison() -> None:
    history = queued(InfoHistory().built("o.1", "lib", inputs())).job(e.JobRunning, attempt=1, runner_id="r1")
    assert history.one("r.1")["because"][0]["kind"] == "not-recorded"


def test_finished_build_is_compared_with_the_build_before_it() -> None:
    history = queued(InfoHistory().built("o.1", "lib", inputs("t1")), inputs=inputs("t2")).finished(
        Outcome.SUCCESS, input_key=KEY
    )
    queued(history, "z.1", inputs=inputs("t9"), at=992.0).job(e.JobFinished, "z.1", outcome=Outcome.SUCCESS, at=999.0)
    cause = history.one("r.1")
    assert (cause["kind"], "t1 → t2" in cause["answer"]) == ("built", True)
