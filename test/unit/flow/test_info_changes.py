"""Tests of the views `changes` and `artifacts`. For a large request, the documents that they read are counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.errors import Rejected
from cloud_builder.flow.info import change_views
from cloud_builder.flow.info.projection import apply_event
from cloud_builder.mesh.write_buffer import BufferedDocuments
from cloud_builder.model import events as e
from cloud_builder.model.ids import job_number
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import Target
from cloud_builder.ports.state import Document, Documents
from support.info_history import TARGET, InfoHistory, deb, queued

JOBS = 20_000


class CountingDocuments(Documents):
    """A state that counts the documents that are read."""

    def __init__(self, state: MemoryState) -> None:
        self._state, self.read = state, 0

    def get(self, collection: str, key: str) -> Document | None:
        self.read += 1
        return self._state.get(collection, key)

    def find(self, collection: str, **where: Any) -> Iterator[tuple[str, Document]]:
        for found in self._state.find(collection, **where):
            self.read += 1
            yield found

    def count(self, collection: str, *, parent: str | None = None) -> int:
        return self._state.count(collection, parent=parent)


def pages(view: Any, state: Documents, **args: Any) -> tuple[list[str], int]:
    """Returns the jobs of all pages, and the number after which the next query starts."""
    seen: list[str] = []
    after, more = args.pop("after", 0), True
    while more:
        found = view("r", state, "", {"most": 1000, "after": after, **args})
        seen += [row["job_id"] for row in found["items"]]
        after, more = found["after"], found["more"]
    return seen, after


@pytest.fixture(scope="module")
def large() -> Iterator[MemoryState]:
    """A request with very many jobs."""
    state = MemoryState()
    with state.transaction():
        pending = BufferedDocuments(state)
        about = {"source": "demo", "ref": "main", "revision": "b" * 40, "units": ("packages/u1",)}
        apply_event(e.RequestAccepted(request_id="r", accepted_at=900.0, **about), pending)
        for number in range(1, JOBS + 1):
            apply_event(job(number), pending)
        pending.flush()
    yield state
    state.close()


def job(number: int, event: type[e.JobEvent] = e.JobQueued, **more: Any) -> e.JobEvent:
    about = {"request_id": "r", "source": "demo", "revision": "b" * 40, "target": TARGET, "at": 900.0}
    more = {"input_key": "1" * 64, **more} if event is e.JobQueued else more
    return event(job_id=f"r.{number}", unit=f"packages/u{number}", **{**about, **more})


# --- a large request --------------------------------------------------------------------------------------------------


def test_first_query_reads_each_job_once(large: MemoryState) -> None:
    counted = CountingDocuments(large)
    seen, _ = pages(change_views.changed, counted)
    assert sorted(seen, key=job_number) == [f"r.{number}" for number in range(1, JOBS + 1)]
    assert counted.read < 3.2 * JOBS


def test_later_queries_read_only_changed_jobs(large: MemoryState) -> None:
    _, after = pages(change_views.changed, large)
    for number in (7, 19_000, 7):
        apply_event(job(number, e.JobRunning, attempt=1, runner_id=f"runner-{number}", at=901.0), large)
    counted = CountingDocuments(large)
    seen, last = pages(change_views.changed, counted, after=after)
    assert seen == ["r.7", "r.19000"]
    assert counted.read < 15
    counted = CountingDocuments(large)
    assert pages(change_views.changed, counted, after=last) == ([], last)
    assert counted.read < 5


def test_view_artifacts_reads_only_jobs_with_artifacts(large: MemoryState) -> None:
    for number in (3, 12_000):
        made = (deb(f"u{number}", "7"),)
        apply_event(job(number, e.JobFinished, outcome=Outcome.SUCCESS, artifacts=made, at=950.0), large)
    apply_event(job(4, e.JobFinished, outcome=Outcome.FAILURE, at=950.0), large)
    counted = CountingDocuments(large)
    assert pages(change_views.with_artifacts, counted)[0] == ["r.3", "r.12000"]
    assert counted.read < 20


# --- changes ----------------------------------------------------------------------------------------------------------


def changed(history: InfoHistory, after: int = 0, **args: Any) -> dict[str, Any]:
    return change_views.changed("r", history.state, "", {"after": after, **args})


def test_repeated_event_is_no_change() -> None:
    history = queued(InfoHistory().accept())
    after = changed(history)["after"]
    assert changed(queued(history), after)["items"] == []


def test_line_of_the_log_is_a_change() -> None:
    history = InfoHistory().accept().job(e.JobRunning, attempt=1, runner_id="r1")
    after = changed(history)["after"]
    history.apply(e.LogAppended(job_id="r.1", attempt=1, offset=0, text="make all\n"))
    [row] = changed(history, after)["items"]
    assert row["last_line"] == "make all"


def test_change_of_another_request_is_not_listed() -> None:
    history = queued(InfoHistory().accept())
    after = changed(history)["after"]
    assert changed(queued(history, "q.1", "other"), after)["items"] == []


def test_next_page_of_changes_begins_after_the_last_row() -> None:
    history = InfoHistory().accept()
    for number in range(1, 26):
        queued(history, f"r.{number}", f"u{number}")
    first = changed(history, most=10)
    assert (len(first["items"]), first["more"]) == (10, True)
    history.job(e.JobRunning, "r.1", "u1", attempt=1, runner_id="r1")
    rest = changed(history, first["after"], most=1000)
    assert [row["job_id"] for row in rest["items"]] == [*(f"r.{number}" for number in range(11, 26)), "r.1"]
    assert not rest["more"]


def test_all_jobs_are_listed_after_cb_info_lost_its_state() -> None:
    history = queued(InfoHistory().accept())
    assert [row["job_id"] for row in changed(history, after=10_000)["items"]] == ["r.1"]


def test_row_names_the_jobs_that_it_waits_for_and_may_be_queried_again() -> None:
    history = queued(queued(InfoHistory().accept(), "r.1", "base"), "r.2", "lib")
    history.job(e.JobBlocked, "r.3", "app", waiting_for=("r.1", "r.2"))
    after = changed(history)["after"]
    history.finished(Outcome.SUCCESS, "r.1", "base")
    found = changed(history, after, again=["r.3", "r.99"])
    assert [row["job_id"] for row in found["items"]] == ["r.1"]
    [row] = found["again"]
    assert (row["waiting_for"], row["waiting_units"]) == (["r.2"], ["packages/lib"])


@pytest.mark.parametrize("after", [-1, "x", 1.5])
def test_argument_that_is_no_number_is_rejected(after: Any) -> None:
    with pytest.raises(Rejected) as caught:
        changed(queued(InfoHistory().accept()), after)
    assert caught.value.code == "bad-argument"


# --- artifacts --------------------------------------------------------------------------------------------------------


def with_artifacts(history: InfoHistory) -> dict[str, Any]:
    return change_views.with_artifacts("r", history.state, "http://objects", {})


def test_last_round_of_a_cycle_counts() -> None:
    history = queued(queued(InfoHistory().accept(), "r.2", "egg"), "r.11", "egg")
    history.finished(Outcome.SUCCESS, "r.2", "egg", artifacts=(deb("egg", "1"),))
    assert with_artifacts(history)["items"] == []
    history.finished(Outcome.SUCCESS, "r.11", "egg", artifacts=(deb("egg", "2"),))
    [row] = with_artifacts(history)["items"]
    assert (row["job_id"], row["artifacts"][0]["url"]) == ("r.11", f"http://objects/{'2' * 64}")


def test_targets_of_all_jobs_are_listed() -> None:
    history = queued(InfoHistory().accept()).finished(Outcome.SUCCESS, artifacts=(deb("lib", "1"),))
    queued(history, "r.2", target=Target(name="trixie.x86_64", dist="trixie", arch="x86_64"))
    assert with_artifacts(history)["targets"] == ["bookworm.x86_64", "trixie.x86_64"]
