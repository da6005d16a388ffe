"""Following a request: how many rows cb-info is asked for, and that what is shown is up to date all the same."""

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
    """cb-info without a broker. `rows`: how many it answered with; `unheard`: which questions it does not answer."""

    def __init__(self) -> None:
        self.state, self.rows, self.asked = MemoryState(), 0, 0
        self.unheard: set[int] = set()
        about = {"source": "demo", "ref": "main", "revision": "b" * 40, "units": ("packages/u1",)}
        apply_event(e.RequestAccepted(request_id="r", accepted_at=900.0, **about), self.state)

    def query(self, what: str, **args: Any) -> Any:
        self.asked += 1
        if self.asked in self.unheard:
            raise Retryable("no answer")
        desk = QueryContext(self.state, 1000.0, "http://objects", QueuePolicy(), GraphCache())
        given = answer(e.InfoAsked(query_id="q", what=what, args={key: arg for key, arg in args.items() if arg}), desk)
        assert not given.code, given.message
        self.rows += len(given.data.get("items", ())) + len(given.data.get("again", ()))
        return given.data

    def tell(self, *events: e.Payload) -> None:
        with self.state.transaction():
            pending = BufferedDocuments(self.state)
            for event in events:
                apply_event(event, pending)
            pending.flush()

    def since(self) -> tuple[int, int]:
        """Rows and questions since this was asked last."""
        rows, asked, self.rows, self.asked = self.rows, self.asked, 0, 0
        return rows, asked

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


def test_of_a_large_request_only_what_has_changed_is_asked_for(info: Info) -> None:
    info.tell(*(queued(number) for number in range(1, JOBS + 1)))
    follower = RequestPoller(info.session, "r")
    first = follower.poll()
    assert [job["job_id"] for job in first.jobs] == [f"r.{number}" for number in range(1, JOBS + 1)]
    rows, asked = info.since()
    assert (rows, len(first.changed)) == (JOBS, JOBS)
    assert asked <= JOBS / 500
    info.tell(runs(5), runs(15_000), ended(5))
    second = follower.poll()
    assert info.since() == (2, 1)
    assert {job["job_id"]: job["state"] for job in second.changed} == {"r.5": "finished", "r.15000": "running"}
    assert [second.jobs[number - 1]["state"] for number in (4, 5, 15_000)] == ["queued", "finished", "running"]
    assert follower.poll().changed == []
    assert info.since() == (0, 1)
    info.tell(queued(JOBS + 1))
    assert follower.poll().jobs[-1]["job_id"] == f"r.{JOBS + 1}"


def test_what_a_job_waits_for_ends_without_a_word_about_the_job(info: Info) -> None:
    info.tell(*(queued(number) for number in range(1, 13)))
    info.tell(of(e.JobBlocked, 13, waiting_for=tuple(f"r.{number}" for number in range(1, 13))))
    follower = RequestPoller(info.session, "r")
    assert follower.poll().jobs[-1]["waiting_units"] == [f"packages/u{number}" for number in range(1, 9)]
    info.tell(*(ended(number) for number in range(1, 8)))
    assert follower.poll().jobs[-1]["waiting_units"] == ["packages/u8"]
    info.tell(ended(8))
    follower.poll()
    assert follower.poll().jobs[-1]["waiting_units"] == [f"packages/u{number}" for number in range(9, 13)]
    info.since()
    follower.poll()
    assert info.since() == (0, 1)


def test_a_silence_in_the_middle_loses_no_news(info: Info, monkeypatch: pytest.MonkeyPatch) -> None:
    info.tell(*(queued(number) for number in range(1, 2001)))
    follower = RequestPoller(info.session, "r")
    info.unheard = {2}
    with pytest.raises(Retryable):
        follower.poll()
    assert len(follower.poll().changed) == 2000


def test_all_jobs_in_full_come_by_number(info: Info) -> None:
    info.tell(*(queued(number) for number in (3, 1, 2)), ended(1))
    rows = whole_jobs(info.session, "changes", "r")
    assert [row["job_id"] for row in rows] == ["r.1", "r.2", "r.3"]
    assert all(row["attempts"] == [] and "artifacts" in row for row in rows)
