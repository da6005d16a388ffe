"""Following a request: how many rows are read from cb-info, and that the view is up to date nevertheless."""

from __future__ import annotations

from typing import Any, cast

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.cli.request_poller import RequestPoller, whole_jobs
from cloud_builder.cli.session import Session
from cloud_builder.errors import Retryable
from cloud_builder.flow.info.graph import GraphCache
from cloud_builder.flow.info.projection import apply_event
from cloud_builder.flow.info.queries import QueryContext, answer
from cloud_builder.mesh.write_buffer import BufferedDocuments
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.schedule.queue import QueuePolicy
from support.factories import BOOKWORM

JOBS = 20_000


class Info:
    """cb-info without a broker. `rows`: rows in its answers; `unanswered`: the numbers of queries without an answer."""

    def __init__(self) -> None:
        self.state, self.rows, self.queries = MemoryState(), 0, 0
        self.unanswered: set[int] = set()
        about = {"source": "demo", "ref": "main", "revision": "b" * 40, "units": ("packages/u1",)}
        apply_event(e.RequestAccepted(request_id="r", accepted_at=900.0, **about), self.state)

    def query(self, what: str, **args: Any) -> Any:
        self.queries += 1
        if self.queries in self.unanswered:
            raise Retryable("no answer")
        context = QueryContext(self.state, 1000.0, "http://objects", QueuePolicy(), GraphCache())
        given = answer(
            e.InfoAsked(query_id="q", what=what, args={key: arg for key, arg in args.items() if arg}), context
        )
        assert not given.code, given.message
        self.rows += len(given.data.get("items", ())) + len(given.data.get("again", ()))
        return given.data

    def send(self, *events: e.Payload) -> None:
        with self.state.transaction():
            pending = BufferedDocuments(self.state)
            for event in events:
                apply_event(event, pending)
            pending.flush()

    def since(self) -> tuple[int, int]:
        """Returns the rows and queries since the last call."""
        rows, queries, self.rows, self.queries = self.rows, self.queries, 0, 0
        return rows, queries

    @property
    def session(self) -> Session:
        return cast(Session, self)


def queued(number: int) -> e.JobEvent:
    return of(e.JobQueued, number, input_key="1" * 64)


def of(event: type[e.JobEvent], number: int, **more: Any) -> e.JobEvent:
    about = {"request_id": "r", "source": "demo", "revision": "b" * 40, "target": BOOKWORM, "at": 900.0}
    return event(job_id=f"r.{number}", unit=f"packages/u{number}", **{**about, **more})


def runs(number: int) -> e.JobEvent:
    return of(e.JobRunning, number, attempt=1, runner_id="r1", at=901.0)


def ended(number: int) -> e.JobEvent:
    return of(e.JobFinished, number, outcome=Outcome.SUCCESS, at=950.0)


@pytest.fixture
def info() -> Info:
    return Info()


def test_poll_reads_only_changed_rows_of_a_large_request(info: Info) -> None:
    info.send(*(queued(number) for number in range(1, JOBS + 1)))
    poller = RequestPoller(info.session, "r")
    first = poller.poll()
    assert [job["job_id"] for job in first.jobs] == [f"r.{number}" for number in range(1, JOBS + 1)]
    rows, queries = info.since()
    assert (rows, len(first.changed)) == (JOBS, JOBS)
    assert queries <= JOBS / 500
    info.send(runs(5), runs(15_000), ended(5))
    second = poller.poll()
    assert info.since() == (2, 1)
    assert {job["job_id"]: job["state"] for job in second.changed} == {"r.5": "finished", "r.15000": "running"}
    assert [second.jobs[number - 1]["state"] for number in (4, 5, 15_000)] == ["queued", "finished", "running"]
    assert poller.poll().changed == []
    assert info.since() == (0, 1)
    info.send(queued(JOBS + 1))
    assert poller.poll().jobs[-1]["job_id"] == f"r.{JOBS + 1}"


def test_poll_updates_waiting_jobs_whose_dependencies_finish(info: Info) -> None:
    info.send(*(queued(number) for number in range(1, 13)))
    info.send(of(e.JobBlocked, 13, waiting_for=tuple(f"r.{number}" for number in range(1, 13))))
    poller = RequestPoller(info.session, "r")
    assert poller.poll().jobs[-1]["waiting_units"] == [f"packages/u{number}" for number in range(1, 9)]
    info.send(*(ended(number) for number in range(1, 8)))
    assert poller.poll().jobs[-1]["waiting_units"] == ["packages/u8"]
    info.send(ended(8))
    poller.poll()
    assert poller.poll().jobs[-1]["waiting_units"] == [f"packages/u{number}" for number in range(9, 13)]
    info.since()
    poller.poll()
    assert info.since() == (0, 1)


def test_poll_loses_no_change_when_a_query_fails(info: Info, monkeypatch: pytest.MonkeyPatch) -> None:
    info.send(*(queued(number) for number in range(1, 2001)))
    poller = RequestPoller(info.session, "r")
    info.unanswered = {2}
    with pytest.raises(Retryable):
        poller.poll()
    assert len(poller.poll().changed) == 2000


def test_whole_jobs_returns_full_rows_by_number(info: Info) -> None:
    info.send(*(queued(number) for number in (3, 1, 2)), ended(1))
    rows = whole_jobs(info.session, "changes", "r")
    assert [row["job_id"] for row in rows] == ["r.1", "r.2", "r.3"]
    assert all(row["attempts"] == [] and "artifacts" in row for row in rows)
