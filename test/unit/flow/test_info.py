"""Tests of cb-info: its views are the same in every order in which topics are read, and when they are read again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.info import InfoFlow, livelog
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.unit import Problem
from cloud_builder.ports.state import Documents
from support import factories
from support.work import ReceivedEvent, RecordingWork

REVISION = "a" * 40
TREE = "b" * 40
DIGEST = "c" * 64
TARGET = factories.BOOKWORM
LOG = Artifact(name="build.log", sha256=DIGEST, size=10, kind=ArtifactKind.LOG)
DEB = Artifact(name="hello_1_amd64.deb", sha256="d" * 64, size=99, kind=ArtifactKind.DEB)


@dataclass
class InfoHarness(RecordingWork):
    """Drives cb-info's flow, event by event; the unit of work is the harness itself."""

    documents: Documents = field(default_factory=MemoryState)
    now: float = 1010.0

    def apply(self, *payloads: e.Payload) -> InfoHarness:
        flow = InfoFlow("http://objects/")
        for payload in payloads:
            flow.handle(ReceivedEvent(payload, time=self.now), self)
        return self

    def answer(self, what: str, **args: Any) -> e.InfoAnswered:
        self.emitted.clear()
        self.apply(e.InfoAsked(query_id="q", what=what, args=args))
        assert isinstance(self.emitted[0], e.InfoAnswered)
        return self.emitted[0]

    def query(self, what: str, **args: Any) -> Any:
        found = self.answer(what, **args)
        assert not found.code, found.message
        return found.data


def revised(*paths: str, revision: str = REVISION, part: int = 0, parts: int = 1, **more: Any) -> e.SourceRevised:
    units = tuple(factories.unit(path.rpartition("/")[2], path=path, tree=TREE) for path in paths)
    return e.SourceRevised(
        source="demo", url="/srv/demo", branch="main", revision=revision, followed=True, units=units, part=part,
        parts=parts, **more,
    )  # fmt: skip


def of_job(kind: Callable[..., e.Payload], number: int = 1, name: str = "hello", **more: Any) -> e.Payload:
    return kind(
        job_id=f"r-1.{number}", request_id="r-1", source="demo", revision=REVISION, unit=f"packages/{name}",
        target=TARGET, **{"at": 1001.0, **more},
    )  # fmt: skip


def accepted(request: str = "r-1", at: float = 1000.0) -> e.RequestAccepted:
    return e.RequestAccepted(
        request_id=request, source="demo", ref="main", revision=REVISION, units=("packages/hello",), accepted_at=at
    )


def appended(text: str, offset: int, attempt: int = 1) -> e.LogAppended:
    return e.LogAppended(job_id="r-1.1", attempt=attempt, offset=offset, text=text)


def runner(at: float) -> e.RunnerSeen:
    return e.RunnerSeen(runner_id="runner-1", arch="x86_64", slots=1, started_at=1.0, at=at)


QUEUED = of_job(e.JobQueued, input_key="k")
RUNNING = of_job(e.JobRunning, attempt=1, runner_id="runner-1", at=1002.0)
FINISHED = of_job(
    e.JobFinished, outcome=Outcome.SUCCESS, attempt=1, artifacts=(DEB,), log=LOG, at=1005.0, runner_id="runner-1"
)
ENDED = e.RequestFinished(
    request_id="r-1", source="demo", ref="main", outcome=RequestOutcome.SUCCESS, accepted_at=1000.0, finished_at=1006.0,
    repositories=(e.RepositoryState(repository="demo-bookworm", snapshot="1", url="http://r/demo-bookworm"),),
)  # fmt: skip
TOPICS: list[list[e.Payload]] = [
    [revised("packages/hello"), accepted()],
    [QUEUED, RUNNING, FINISHED],
    [ENDED],
    [
        e.AttemptStarted(job_id="r-1.1", attempt=1, runner_id="runner-1", started_at=1002.0),
        e.AttemptFinished(
            job_id="r-1.1", attempt=1, runner_id="runner-1", outcome=Outcome.SUCCESS, log=LOG, started_at=1002.0,
            finished_at=1004.0,
        ),
    ],
    [runner(1003.0)],
]  # fmt: skip


def all_views(info: InfoHarness) -> dict[str, Any]:
    lists = ("sources", "units", "requests", "jobs", "runners", "repositories", "status")
    return {name: info.query(name) for name in lists} | {
        "request": info.query("request", request="r-1"),
        "job": info.query("job", job="r-1.1"),
    }


@pytest.mark.parametrize("seed", range(20))
def test_views_do_not_depend_on_the_order_of_topics_or_repeats(seed: int) -> None:
    chance = random.Random(seed)
    queues = [list(topic) for topic in TOPICS for _ in range(1)]
    mixed: list[e.Payload] = []
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])
        mixed.append(queue.pop(0))
    expected = all_views(InfoHarness().apply(*(event for topic in TOPICS for event in topic)))
    once = InfoHarness().apply(*mixed)
    assert all_views(once) == expected
    assert all_views(once.apply(*mixed)) == expected


def test_finished_job_has_the_urls_of_its_files() -> None:
    info = InfoHarness().apply(*(event for topic in TOPICS for event in topic))
    job = info.query("job", job="r-1.1")
    assert (job["state"], job["outcome"], job["target"]) == ("finished", "success", "bookworm.x86_64")
    assert job["artifacts"][0]["url"] == f"http://objects/{DEB.sha256}"
    assert job["log"]["sha256"] == DIGEST
    assert [attempt["attempt"] for attempt in job["attempts"]] == [1]
    request = info.query("request", request="r-1")
    assert request["request"]["repositories"][0]["url"] == "http://r/demo-bookworm"
    assert [row["job_id"] for row in request["jobs"]["items"]] == ["r-1.1"]


def test_removed_units_are_dropped_with_the_last_part_of_a_commit() -> None:
    other = "e" * 40
    info = InfoHarness().apply(revised("packages/a", "packages/b"))
    info.apply(revised("packages/b", revision=other, part=0, parts=2, problems=(Problem(path="x", message="bad"),)))
    info.apply(revised("packages/c", revision=other, part=1, parts=2))
    assert [row["path"] for row in info.query("units")["items"]] == ["packages/b", "packages/c"]
    assert info.query("status")["problems"][0]["message"] == "bad"
    assert info.apply(e.SourceRemoved(source="demo")).query("units")["items"] == []


def test_problems_of_broken_units_are_shown_with_the_unit_and_the_source() -> None:
    problem = Problem(path="packages/b", file="packages/b/debian/control", line=1, message="bad")
    event = revised("packages/a", "packages/b")
    broken = event.units[1].model_copy(update={"problems": (problem,)})
    info = InfoHarness().apply(event.model_copy(update={"units": (event.units[0], broken)}))
    assert [[found["line"] for found in row["problems"]] for row in info.query("units")["items"]] == [[], [1]]
    assert [row["message"] for row in info.query("status")["problems"]] == ["bad"]
    assert [row["units"] for row in info.query("sources")["items"]] == [2]


def test_error_of_a_source_is_shown_until_it_can_be_read() -> None:
    error = e.SourceTroubled(source="demo", url="https://x", code="source-unreachable", message="no route", at=1)
    info = InfoHarness().apply(error)
    [row] = info.query("sources")["items"]
    assert (row["url"], row["revision"], row["trouble"]["message"]) == ("https://x", "", "no route")
    [row] = info.apply(revised("packages/a")).query("sources")["items"]
    assert (row["units"], row["trouble"]["message"]) == (1, "no route")
    [row] = info.apply(error.model_copy(update={"message": "", "code": ""})).query("sources")["items"]
    assert row["trouble"] is None


def test_rejected_request_has_its_code_and_hint() -> None:
    rejected = e.RequestRejected(
        request_id="r-9", code="unknown-unit", message="no", hint="Did you mean x?", rejected_at=5
    )
    row = InfoHarness().apply(rejected).query("request", request="r-9")["request"]
    assert (row["state"], row["code"], row["hint"]) == ("rejected", "unknown-unit", "Did you mean x?")


@pytest.mark.parametrize(
    ("what", "args", "code", "hint"),
    [
        ("unit", {}, "unknown-view", "units"),
        ("job", {"job": "r-1.2"}, "not-found", "r-1.1"),
        ("job", {}, "bad-argument", ""),
        ("request", {"request": "r-2"}, "not-found", "r-1"),
        ("units", {"source": "dem"}, "not-found", "demo"),
        ("jobs", {"most": "x"}, "bad-argument", "1 to"),
        ("log", {"job": "r-1.1", "offset": "x"}, "bad-argument", ""),
        ("resolve", {"id": "nothing-like-it"}, "not-found", "list requests"),
        ("resolve", {"id": "helo"}, "not-found", "packages/hello"),
        ("log", {"job": "helo"}, "not-found", "packages/hello"),
    ],
)
def test_unknown_name_gets_the_nearest_name(what: str, args: dict[str, Any], code: str, hint: str) -> None:
    info = InfoHarness().apply(*(event for topic in TOPICS for event in topic))
    found = info.answer(what, **args)
    assert found.code == code
    assert hint in found.hint


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("r-1", "request", "r-1"),
        ("r-1.1", "job", "r-1.1"),
        ("hello", "job", "r-1.1"),
        ("packages/hello", "job", "r-1.1"),
        ("demo:packages/hello", "job", "r-1.1"),
    ],
)
def test_id_or_unit_is_resolved(name: str, kind: str, found: str) -> None:
    info = InfoHarness().apply(*(event for topic in TOPICS for event in topic))
    assert info.query("resolve", id=name) == {"kind": kind, "id": found}


def test_beginning_of_an_id_is_resolved_when_it_is_the_only_one() -> None:
    info = InfoHarness().apply(accepted("r-abc"), accepted("r-abd"), accepted("r-x"))
    assert info.query("resolve", id="r-x")["id"] == "r-x"
    assert info.answer("resolve", id="r-a").code == "ambiguous"


def test_next_page_begins_after_the_last_row() -> None:
    info = InfoHarness().apply(*(accepted(f"r-{number}", at=number) for number in range(25)))
    seen, after = [], None
    while True:
        page = info.query("requests", most=10, after=after)
        seen += [row["request_id"] for row in page["items"]]
        if (after := page["next"]) is None:
            break
    assert seen == [f"r-{number}" for number in reversed(range(25))]


def test_jobs_of_a_request_come_in_pages_by_number() -> None:
    info = InfoHarness().apply(
        accepted(), *(of_job(e.JobQueued, number, input_key="0" * 64) for number in range(25, 0, -1))
    )
    seen, after = [], None
    while True:
        page = info.query("request", request="r-1", most=10, after=after)["jobs"]
        seen += [row["job_id"] for row in page["items"]]
        if (after := page["next"]) is None:
            break
    assert seen == [f"r-1.{number}" for number in range(1, 26)]


def test_answer_fits_in_a_message() -> None:
    wide = revised(*(f"packages/{number:04d}{'x' * 1000}" for number in range(600)))
    answer = InfoHarness().apply(wide).answer("units", most=1000)
    assert len(answer.model_dump_json()) < 512 * 1024
    assert answer.data["next"]


def test_answer_stays_small_with_requests_for_all_units() -> None:
    info = InfoHarness()
    for number in range(10):
        wide = accepted(f"r-{number}").model_copy(update={"units": tuple(f"packages/lib{n}" for n in range(35_000))})
        info.apply(wide)
    assert len(info.answer("status").model_dump_json()) < 20_000
    assert info.query("request", request="r-1")["request"]["unit_count"] == 35_000


def test_old_query_is_not_answered() -> None:
    info = InfoHarness(now=2000.0)
    InfoFlow().handle(ReceivedEvent(e.InfoAsked(query_id="q", what="status")), info)
    assert info.emitted == []


def read_log(info: InfoHarness) -> str:
    text, offset, attempt = "", 0, 0
    while True:
        piece = info.query("log", job="r-1.1", offset=offset, attempt=attempt)
        if not piece["text"]:
            return text
        text, offset, attempt = text + piece["text"], piece["next"], piece["attempt"]


def test_live_log_is_read_in_chunks_without_breaking_characters() -> None:
    info = InfoHarness().apply(QUEUED, RUNNING)
    whole, offset = "", 0
    for number in range(30):
        text = f"{number} größe € " * 700
        info.apply(appended(text, offset), appended(text, offset))
        whole, offset = whole + text, offset + len(text.encode())
    assert read_log(info) == whole
    assert len(info.query("log", job="r-1.1")["text"].encode()) <= livelog.CHUNK_BYTES


def test_newer_attempt_replaces_the_log() -> None:
    info = InfoHarness().apply(
        QUEUED, RUNNING, appended("one\n", 0), appended("two\n", 0, attempt=2), appended("late", 4)
    )
    found = info.query("log", job="r-1.1", offset=4, attempt=1)
    assert (found["text"], found["attempt"], found["offset"]) == ("two\n", 2, 0)


def test_live_log_is_bounded_and_dropped_when_the_whole_log_came() -> None:
    piece = "x" * 65536
    info = InfoHarness().apply(QUEUED, RUNNING, *(appended(piece, number * 65536) for number in range(40)))
    assert info.documents.count("log-piece") * 65536 <= livelog.MAX_LOG_BYTES
    assert info.query("log", job="r-1.1")["offset"] > 0
    info.apply(FINISHED, appended("late", 40 * 65536))
    found = info.query("log", job="r-1.1")
    assert (info.documents.count("log-piece"), found["done"], found["log"]["sha256"]) == (0, True, DIGEST)


def test_row_has_the_last_line_of_a_running_job() -> None:
    info = InfoHarness().apply(QUEUED, RUNNING, appended("configure\nmake all\n", 0))
    assert info.query("jobs")["items"][0]["last_line"] == "make all"


@pytest.mark.parametrize(("now", "state"), [(1005.0, "online"), (1050.0, "silent")])
def test_runner_is_online_while_its_heartbeats_come(now: float, state: str) -> None:
    info = InfoHarness(now=now).apply(runner(1000.0))
    assert [row["state"] for row in info.query("runners")["items"]] == [state]


def test_runner_is_draining_then_removed_when_silent_for_long() -> None:
    info = InfoHarness().apply(runner(1000.0), e.RunnerDraining(runner_id="runner-1", reason="stopped", at=1001.0))
    assert info.query("runners")["items"][0]["state"] == "draining"
    info.now = 1000.0 + 2 * 86400
    InfoFlow().tick(info)
    assert info.query("runners")["items"] == []


@pytest.mark.parametrize(
    "received", [(), (QUEUED,), (QUEUED, RUNNING, appended("one\n", 0)), (QUEUED, RUNNING, FINISHED)]
)
def test_result_of_a_request_finishes_jobs_whose_own_event_was_lost(received: tuple[e.Payload, ...]) -> None:
    result = e.JobResult(
        job_id="r-1.1", unit="packages/hello", target=TARGET.name, outcome=Outcome.SUCCESS, artifacts=(DEB,), log=LOG
    )
    info = InfoHarness().apply(accepted(), *received, ENDED.model_copy(update={"jobs": (result,)}))
    [row] = info.query("jobs", request="r-1")["items"]
    assert (row["state"], row["outcome"], row["target"]) == ("finished", "success", "bookworm.x86_64")
    assert info.query("log", job="r-1.1")["log"]["sha256"] == DIGEST
    assert info.documents.count("log-piece") == 0
