"""The collector: verdicts come in, repositories go out; each verdict is answered once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud_builder.adapters.memory.repository import MemoryRepositories
from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.flow.collector import CollectorFlow
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.model.unit import Problem
from support.factories import BOOKWORM, unit
from support.work import ReceivedEvent, RecordingWork

NAME = "demo-bookworm"


class Refusing(MemoryRepositories):
    """Raises `error` instead of publishing, as long as there is one."""

    error: Exception | None = None

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        if self.error is not None:
            raise self.error
        return super().publish(listing, at=at, after=after)


class CollectorHarness:
    """Drives the collector's flow; the clock moves with each batch."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, 1000.0
        self.store, self.state = MemoryStore(), MemoryState()
        self.repositories = Refusing(self.store)
        self.restart()

    def restart(self) -> None:
        settings = CollectorSettings(public_url="http://here")
        self.flow = CollectorFlow(settings, self.store, self.repositories, MemorySigner())
        self.flow.restore(self.state)

    def step(self, *payloads: e.Payload, caught_up: bool = True, after: float = 10.0) -> list[Any]:
        """One batch as the mesh loop does it; returns what was emitted."""
        self.now += after
        work = RecordingWork(self.state, self.now, caught_up)
        with self.state.transaction():
            for payload in payloads:
                self.flow.handle(ReceivedEvent(payload), work)
            self.flow.tick(work)
        return work.emitted

    def put(self, name: str, content: str) -> Artifact:
        (self.path / "file").write_text(content)
        digest, size = self.store.put(self.path / "file")
        kind = ArtifactKind.DEB if name.endswith(".deb") else ArtifactKind.LOG
        return Artifact(name=name, sha256=digest, size=size, kind=kind)

    def deb(self, name: str, version: str = "1") -> Artifact:
        return self.put(f"{name}_{version}_amd64.deb", f"{name} {version} amd64")

    def verdict(self, sequence: int, unit: str, *artifacts: Artifact, **more: Any) -> e.JobFinished:
        fields: dict[str, Any] = {
            "job_id": f"r{sequence}.{unit}",
            "request_id": f"r{sequence}",
            "source": "demo",
            "revision": "0" * 40,
            "unit": unit,
            "target": BOOKWORM,
            "state": JobState.FINISHED,
            "at": self.now,
            "outcome": Outcome.SUCCESS,
            "artifacts": artifacts or (self.deb(unit, str(sequence)),),
            "publish": True,
            "repository": NAME,
            "sequence": sequence,
        }
        return e.JobFinished(**{**fields, **more})

    def names(self) -> list[str]:
        """File names in the live snapshot."""
        live = self.repositories.snapshots[NAME][self.repositories.live(NAME)]  # type: ignore[index,arg-type]
        return [artifact.name for artifact in live.packages["amd64"]]


def revised(*units: str, broken: str = "", part: int = 0, parts: int = 1, revision: str = "1") -> e.SourceRevised:
    return e.SourceRevised(
        source="demo",
        url="",
        branch="main",
        revision=revision * 40,
        followed=True,
        units=tuple(unit(name, path=name) for name in units),
        problems=(Problem(path=broken, message="typing error"),) if broken else (),
        part=part,
        parts=parts,
    )


@pytest.fixture
def collector(tmp_path: Path) -> CollectorHarness:
    return CollectorHarness(tmp_path)


def test_a_verdict_is_published_and_answered(collector: CollectorHarness) -> None:
    (told,) = collector.step(collector.verdict(1, "a"))
    assert isinstance(told, e.RepositoryPublished)
    assert (told.repository, told.jobs, told.previous, told.packages) == (NAME, ("r1.a",), "", 1)
    assert told.url == f"http://here/repositories/{NAME}"
    assert told.signed_by == MemorySigner().fingerprint
    assert told.snapshot == collector.repositories.live(told.repository)
    assert collector.step() == []


def test_all_that_came_in_becomes_one_snapshot(collector: CollectorHarness) -> None:
    (told,) = collector.step(*(collector.verdict(1, unit) for unit in "abc"))
    assert told.jobs == ("r1.a", "r1.b", "r1.c")
    assert len(collector.repositories.snapshots[NAME]) == 1  # type: ignore[index]


def test_what_is_live_already_is_answered_at_once(collector: CollectorHarness) -> None:
    same = collector.deb("a")
    (first,) = collector.step(collector.verdict(1, "a", same))
    (again,) = collector.step(collector.verdict(2, "a", same, outcome=Outcome.REUSED), after=0.0)
    assert (again.jobs, again.snapshot, again.previous) == (("r2.a",), first.snapshot, first.snapshot)


def test_what_is_unchanged_is_held_without_being_read_again(collector: CollectorHarness) -> None:
    same = collector.deb("a")
    collector.step(collector.verdict(1, "a", same))
    collector.store.objects[same.sha256] = b"damaged"
    unchanged = {"outcome": Outcome.SKIPPED, "code": "unchanged", "reused_from": "r1.a"}
    (told,) = collector.step(collector.verdict(2, "a", same, **unchanged))
    assert told.jobs == ("r2.a",)
    del collector.store.objects[same.sha256]
    (failed,) = collector.step(collector.verdict(3, "a", same, **unchanged))
    assert (type(failed), failed.jobs) == (e.PublishFailed, ("r3.a",))


def test_a_late_old_verdict_is_answered_and_changes_nothing(collector: CollectorHarness) -> None:
    (new,) = collector.step(collector.verdict(2, "a"))
    (old,) = collector.step(collector.verdict(1, "a"))
    assert (old.jobs, old.snapshot) == (("r1.a",), new.snapshot)
    assert collector.names() == ["a_2_amd64.deb"]


@pytest.mark.parametrize(
    "change",
    [{"publish": False}, {"repository": None}, {"outcome": Outcome.FAILURE}, {"outcome": Outcome.CANCELED}],
    ids=["not to be published", "no repository", "failure", "canceled"],
)
def test_what_is_not_for_publishing_is_left_alone(collector: CollectorHarness, change: dict[str, Any]) -> None:
    assert collector.step(collector.verdict(1, "a", **change)) == []


def test_two_snapshots_of_a_repository_are_a_second_apart(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"))
    assert collector.step(collector.verdict(2, "a"), after=0.5) == []
    assert collector.flow.max_wait() < 1.0
    (told,) = collector.step(after=0.6)
    assert told.jobs == ("r2.a",)


@pytest.mark.parametrize("which", ["package", "log"])
@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_a_file_that_cannot_be_fetched_fails_its_job_alone(
    collector: CollectorHarness, which: str, damage: str
) -> None:
    log, good = collector.put("build.log", "log"), collector.verdict(1, "b")
    bad = collector.verdict(1, "a", log=log)
    digest = log.sha256 if which == "log" else bad.artifacts[0].sha256
    if damage == "missing":
        del collector.store.objects[digest]
    else:
        collector.store.objects[digest] = b"x"
    failed, published = collector.step(bad, good)
    assert isinstance(failed, e.PublishFailed)
    assert failed.jobs == ("r1.a",)
    assert digest in failed.message
    assert failed.hint
    assert published.jobs == ("r1.b",)
    assert collector.names() == ["b_1_amd64.deb"]


def test_packages_are_listed_as_what_they_are_and_not_as_what_was_said(collector: CollectorHarness) -> None:
    a = collector.deb("a")
    lied = a.model_copy(update={"package": collector.repositories.inspect(a).model_copy(update={"name": "libc6"})})
    collector.step(collector.verdict(1, "a", lied))
    listed = collector.repositories.snapshots[NAME][collector.repositories.live(NAME)]  # type: ignore[index,arg-type]
    assert [artifact.package.name for artifact in listed.packages["amd64"] if artifact.package] == ["a"]


def test_a_unit_that_is_gone_from_git_leaves(collector: CollectorHarness) -> None:
    (first,) = collector.step(collector.verdict(1, "a"), collector.verdict(1, "b"), revised("a", "b"))
    (told,) = collector.step(revised("b"))
    assert (told.jobs, told.previous) == ((), first.snapshot)
    assert collector.names() == ["b_1_amd64.deb"]


def test_nothing_leaves_before_all_parts_have_come(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"), collector.verdict(1, "b"))
    assert collector.step(revised("a", part=0, parts=2)) == []
    collector.restart()
    assert collector.step(revised("b", part=1, parts=2)) == []
    assert collector.names() == ["a_1_amd64.deb", "b_1_amd64.deb"]
    assert collector.step(revised("a", part=1, parts=2, revision="2")) == []


def test_a_commit_that_is_not_followed_removes_nothing(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"))
    assert collector.step(revised().model_copy(update={"followed": False})) == []


def test_a_broken_manifest_does_not_take_its_packages_away(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"), collector.verdict(1, "b"))
    assert collector.step(revised("b", broken="a")) == []


def test_a_verdict_on_a_unit_not_heard_of_waits_for_the_source(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"), revised("a"))
    assert collector.step(collector.verdict(2, "new"), caught_up=False) == []
    (told,) = collector.step(revised("a", "new"), caught_up=False)
    assert told.jobs == ("r2.new",)
    assert collector.names() == ["a_1_amd64.deb", "new_2_amd64.deb"]


def test_a_verdict_that_waited_for_its_source_is_answered_though_publishing_has_failed_meanwhile(
    collector: CollectorHarness,
) -> None:
    collector.step(collector.verdict(1, "a"), revised("a"))
    collector.repositories.error = Permanent("no such suite", hint="Rename it.")
    (failed,) = collector.step(collector.verdict(2, "a"), collector.verdict(2, "new"), caught_up=False)
    assert failed.jobs == ("r2.a",)
    (failed,) = collector.step()
    assert failed.jobs == ("r2.new",)
    assert collector.step() == []


def test_a_verdict_on_a_unit_that_is_gone_is_answered_and_not_listed(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"), collector.verdict(1, "b"), revised("a"))
    (told,) = collector.step(collector.verdict(2, "b"))
    assert told.jobs == ("r2.b",)
    assert collector.names() == ["a_1_amd64.deb"]
    collector.step(revised("a", "b"))
    assert collector.names() == ["a_1_amd64.deb"]


def test_a_unit_that_comes_back_before_we_noticed_it_gone_stays(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"), collector.verdict(1, "b"))
    collector.step(revised("b"), caught_up=False)
    collector.step(revised("a", "b"), caught_up=False)
    assert collector.names() == ["a_1_amd64.deb", "b_1_amd64.deb"]


def test_an_unwell_disk_is_waited_for(collector: CollectorHarness) -> None:
    collector.repositories.error = Retryable("disk full", delay=5.0)
    assert collector.step(collector.verdict(1, "a")) == []
    collector.repositories.error = None
    assert collector.step(after=2.0) == []
    (told,) = collector.step(after=4.0)
    assert told.jobs == ("r1.a",)


def test_a_refusal_is_answered_and_tried_again_with_the_next_verdict(collector: CollectorHarness) -> None:
    collector.repositories.error = Permanent("no such suite", hint="Rename it.")
    (failed,) = collector.step(collector.verdict(1, "a"))
    assert (failed.jobs, failed.message, failed.hint) == (("r1.a",), "no such suite", "Rename it.")
    assert collector.step() == []
    assert collector.flow.max_wait() > 1.0
    collector.repositories.error = None
    (told,) = collector.step(collector.verdict(2, "b"))
    assert told.jobs == ("r2.b",)
    assert collector.names() == ["a_1_amd64.deb", "b_2_amd64.deb"]


def test_two_sources_cannot_share_a_repository(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"))
    (failed,) = collector.step(collector.verdict(2, "a", source="other"))
    assert isinstance(failed, e.PublishFailed)
    assert "already holds the packages of demo" in failed.message


def test_a_new_broker_is_told_what_is_live(collector: CollectorHarness) -> None:
    (first,) = collector.step(collector.verdict(1, "a"), collector.verdict(1, "b"))
    collector.restart()
    work = RecordingWork(collector.state, collector.now)
    collector.flow.republish(work)
    (told,) = work.emitted
    assert isinstance(told, e.RepositoryPublished)
    assert (told.snapshot, told.previous, set(told.jobs)) == (first.snapshot, first.snapshot, {"r1.a", "r1.b"})


@pytest.mark.parametrize("lost", ["commit", "repository"])
def test_disk_and_state_agree_again_after_a_crash(collector: CollectorHarness, lost: str) -> None:
    collector.step(collector.verdict(1, "a"))
    if lost == "commit":
        with pytest.raises(KeyboardInterrupt), collector.state.transaction():
            work = RecordingWork(collector.state, collector.now + 10)
            collector.flow.handle(ReceivedEvent(collector.verdict(2, "a")), work)
            collector.flow.tick(work)
            raise KeyboardInterrupt
    else:
        collector.repositories = Refusing(collector.store)
    collector.restart()
    told = collector.step(collector.verdict(2, "a"))
    assert [each.jobs for each in told] == [("r2.a",)]
    assert collector.names() == ["a_2_amd64.deb"]
    assert told[0].snapshot == collector.repositories.live(told[0].repository)
    assert told[0].snapshot.startswith("000002-")


def test_a_restart_alone_publishes_what_the_disk_has_lost(collector: CollectorHarness) -> None:
    collector.step(collector.verdict(1, "a"))
    collector.repositories = Refusing(collector.store)
    collector.restart()
    (told,) = collector.step()
    assert (told.jobs, told.snapshot[:6]) == ((), "000002")
    assert collector.names() == ["a_1_amd64.deb"]


def test_contested_packages_are_told(collector: CollectorHarness) -> None:
    content = collector.deb("same")
    (told,) = collector.step(collector.verdict(1, "a", content), collector.verdict(2, "b", content))
    assert told.warnings == ("same (amd64) is made by b and by a: that of b is listed",)


@pytest.mark.parametrize("shift", range(4))
def test_waiting_jobs_survive_a_restart_and_are_answered_once(collector: CollectorHarness, shift: int) -> None:
    collector.repositories.error = Retryable("unwell", delay=0.1)
    verdicts = [collector.verdict(number, "a") for number in (1, 2, 3, 4)]
    assert collector.step(*(verdicts[shift:] + verdicts[:shift])) == []
    collector.restart()
    collector.repositories.error = None
    (told,) = collector.step()
    assert set(told.jobs) == {verdict.job_id for verdict in verdicts}
    assert collector.names() == ["a_4_amd64.deb"]
    assert collector.step() == []
