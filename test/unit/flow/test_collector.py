"""Tests of the collector: it publishes the packages of finished jobs, and reports on each job once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import UNKNOWN_TARGET, Problem
from support.collector_harness import NAME, CollectorHarness, FailingRepositories
from support.factories import unit
from support.work import ReceivedEvent, RecordingWork


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


def test_job_is_published_and_answered(collector: CollectorHarness) -> None:
    (published,) = collector.step(collector.finished(1, "a"))
    assert isinstance(published, e.RepositoryPublished)
    assert (published.repository, published.jobs, published.previous, published.packages) == (NAME, ("r1.a",), "", 1)
    assert published.url == f"http://here/repositories/{NAME}"
    assert published.signed_by == MemorySigner().fingerprint
    assert published.snapshot == collector.repositories.live(published.repository)
    assert collector.step() == []


def test_jobs_of_one_batch_become_one_snapshot(collector: CollectorHarness) -> None:
    (published,) = collector.step(*(collector.finished(1, unit) for unit in "abc"))
    assert published.jobs == ("r1.a", "r1.b", "r1.c")
    assert len(collector.repositories.snapshots[NAME]) == 1  # type: ignore[index]


def test_job_with_live_packages_is_answered_at_once(collector: CollectorHarness) -> None:
    same = collector.deb("a")
    (first,) = collector.step(collector.finished(1, "a", same))
    (again,) = collector.step(collector.finished(2, "a", same, outcome=Outcome.REUSED), after=0.0)
    assert (again.jobs, again.snapshot, again.previous) == (("r2.a",), first.snapshot, first.snapshot)


def test_unchanged_packages_are_not_read_again(collector: CollectorHarness) -> None:
    same = collector.deb("a")
    collector.step(collector.finished(1, "a", same))
    collector.store.objects[same.sha256] = b"damaged"
    unchanged = {"outcome": Outcome.SKIPPED, "code": "unchanged", "reused_from": "r1.a"}
    (published,) = collector.step(collector.finished(2, "a", same, **unchanged))
    assert published.jobs == ("r2.a",)
    del collector.store.objects[same.sha256]
    (failed,) = collector.step(collector.finished(3, "a", same, **unchanged))
    assert (type(failed), failed.jobs) == (e.PublishFailed, ("r3.a",))


def test_older_job_that_comes_late_is_answered_and_changes_nothing(collector: CollectorHarness) -> None:
    (new,) = collector.step(collector.finished(2, "a"))
    (old,) = collector.step(collector.finished(1, "a"))
    assert (old.jobs, old.snapshot) == (("r1.a",), new.snapshot)
    assert collector.names() == ["a_2_amd64.deb"]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_other_contents_of_a_published_version_are_refused(collector: CollectorHarness, is_restarted: bool) -> None:
    collector.step(collector.finished(1, "p/a", collector.put("a_1_amd64.deb", "a 1 amd64 x")))
    collector.step(collector.finished(2, "p/a", collector.put("a_2_amd64.deb", "a 2 amd64 x")))
    before = collector.names()
    if is_restarted:
        collector.restart()
    [failed] = collector.step(collector.finished(3, "p/a", collector.put("a_1_amd64.deb", "a 1 amd64 y")))
    assert isinstance(failed, e.PublishFailed)
    assert failed.message == f"a 1 (amd64) is in {NAME} with other contents: published packages never change"
    assert "debian/changelog" in failed.hint
    assert collector.names() == before
    [published] = collector.step(collector.finished(4, "p/a", collector.put("a_1_amd64.deb", "a 1 amd64 x")))
    assert isinstance(published, e.RepositoryPublished), "the same contents may come back"


@pytest.mark.parametrize(
    "change",
    [{"publish": False}, {"repository": None}, {"outcome": Outcome.FAILURE}, {"outcome": Outcome.CANCELED}],
    ids=["not to be published", "no repository", "failure", "canceled"],
)
def test_job_that_is_not_to_be_published_is_ignored(collector: CollectorHarness, change: dict[str, Any]) -> None:
    assert collector.step(collector.finished(1, "a", **change)) == []


def test_two_snapshots_of_a_repository_are_a_second_apart(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"))
    assert collector.step(collector.finished(2, "a"), after=0.5) == []
    assert collector.flow.max_wait() < 1.0
    (published,) = collector.step(after=0.6)
    assert published.jobs == ("r2.a",)


@pytest.mark.parametrize("which", ["package", "log"])
@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_unreadable_file_fails_only_its_job(collector: CollectorHarness, which: str, damage: str) -> None:
    log, good = collector.put("build.log", "log"), collector.finished(1, "b")
    bad = collector.finished(1, "a", log=log)
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


def test_package_description_is_read_from_the_package(collector: CollectorHarness) -> None:
    a = collector.deb("a")
    misreported = a.model_copy(
        update={"package": collector.repositories.inspect(a).model_copy(update={"name": "libc6"})}
    )
    collector.step(collector.finished(1, "a", misreported))
    listed = collector.repositories.snapshots[NAME][collector.repositories.live(NAME)]  # type: ignore[index,arg-type]
    assert [artifact.package.name for artifact in listed.packages["amd64"] if artifact.package] == ["a"]


def test_packages_of_a_removed_unit_are_removed(collector: CollectorHarness) -> None:
    (first,) = collector.step(collector.finished(1, "a"), collector.finished(1, "b"), revised("a", "b"))
    (published,) = collector.step(revised("b"))
    assert (published.jobs, published.previous) == ((), first.snapshot)
    assert collector.names() == ["b_1_amd64.deb"]


def test_packages_stay_until_all_parts_of_a_commit_have_come(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"), collector.finished(1, "b"))
    assert collector.step(revised("a", part=0, parts=2)) == []
    collector.restart()
    assert collector.step(revised("b", part=1, parts=2)) == []
    assert collector.names() == ["a_1_amd64.deb", "b_1_amd64.deb"]
    assert collector.step(revised("a", part=1, parts=2, revision="2")) == []


def test_commit_that_is_not_followed_removes_nothing(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"))
    assert collector.step(revised().model_copy(update={"followed": False})) == []


def test_packages_of_a_broken_unit_stay(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"), collector.finished(1, "b"))
    assert collector.step(revised("b", broken="a")) == []
    problem = Problem(path="a", message="typing error")
    broken = unit("a", path="a", targets=(UNKNOWN_TARGET,), problems=(problem,))
    announced = revised("b", revision="2")
    assert collector.step(announced.model_copy(update={"units": (broken, *announced.units)})) == []


def test_job_of_an_unknown_unit_waits_for_its_source(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"), revised("a"))
    assert collector.step(collector.finished(2, "new"), caught_up=False) == []
    (published,) = collector.step(revised("a", "new"), caught_up=False)
    assert published.jobs == ("r2.new",)
    assert collector.names() == ["a_1_amd64.deb", "new_2_amd64.deb"]


def test_job_that_waited_for_its_source_is_answered_after_a_failure(
    collector: CollectorHarness,
) -> None:
    collector.step(collector.finished(1, "a"), revised("a"))
    collector.repositories.error = Permanent("no such suite", hint="Rename it.")
    (failed,) = collector.step(collector.finished(2, "a"), collector.finished(2, "new"), caught_up=False)
    assert failed.jobs == ("r2.a",)
    (failed,) = collector.step()
    assert failed.jobs == ("r2.new",)
    assert collector.step() == []


def test_job_of_a_removed_unit_is_answered_and_not_listed(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"), collector.finished(1, "b"), revised("a"))
    (published,) = collector.step(collector.finished(2, "b"))
    assert published.jobs == ("r2.b",)
    assert collector.names() == ["a_1_amd64.deb"]
    collector.step(revised("a", "b"))
    assert collector.names() == ["a_1_amd64.deb"]


def test_unit_that_comes_back_during_catch_up_stays(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"), collector.finished(1, "b"))
    collector.step(revised("b"), caught_up=False)
    collector.step(revised("a", "b"), caught_up=False)
    assert collector.names() == ["a_1_amd64.deb", "b_1_amd64.deb"]


def test_publishing_is_retried_after_a_temporary_error(collector: CollectorHarness) -> None:
    collector.repositories.error = Retryable("disk full", delay=5.0)
    assert collector.step(collector.finished(1, "a")) == []
    collector.repositories.error = None
    assert collector.step(after=2.0) == []
    (published,) = collector.step(after=4.0)
    assert published.jobs == ("r1.a",)


def test_permanent_error_is_answered_and_retried_with_the_next_job(collector: CollectorHarness) -> None:
    collector.repositories.error = Permanent("no such suite", hint="Rename it.")
    (failed,) = collector.step(collector.finished(1, "a"))
    assert (failed.jobs, failed.message, failed.hint) == (("r1.a",), "no such suite", "Rename it.")
    assert collector.step() == []
    assert collector.flow.max_wait() > 1.0
    collector.repositories.error = None
    (published,) = collector.step(collector.finished(2, "b"))
    assert published.jobs == ("r2.b",)
    assert collector.names() == ["a_1_amd64.deb", "b_2_amd64.deb"]


def test_two_sources_cannot_share_a_repository(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"))
    (failed,) = collector.step(collector.finished(2, "a", source="other"))
    assert isinstance(failed, e.PublishFailed)
    assert "already holds the packages of demo" in failed.message


def test_live_snapshots_are_announced_again_to_a_new_broker(collector: CollectorHarness) -> None:
    (first,) = collector.step(collector.finished(1, "a"), collector.finished(1, "b"))
    collector.restart()
    work = RecordingWork(collector.state, collector.now)
    collector.flow.republish(work)
    (published,) = work.emitted
    assert isinstance(published, e.RepositoryPublished)
    assert (published.snapshot, published.previous, set(published.jobs)) == (
        first.snapshot,
        first.snapshot,
        {"r1.a", "r1.b"},
    )


@pytest.mark.parametrize("lost", ["commit", "repository"])
def test_disk_and_state_agree_again_after_a_crash(collector: CollectorHarness, lost: str) -> None:
    collector.step(collector.finished(1, "a"))
    if lost == "commit":
        with pytest.raises(KeyboardInterrupt), collector.state.transaction():
            work = RecordingWork(collector.state, collector.now + 10)
            collector.flow.handle(ReceivedEvent(collector.finished(2, "a")), work)
            collector.flow.tick(work)
            raise KeyboardInterrupt
    else:
        collector.repositories = FailingRepositories(collector.store)
    collector.restart()
    published = collector.step(collector.finished(2, "a"))
    assert [event.jobs for event in published] == [("r2.a",)]
    assert collector.names() == ["a_2_amd64.deb"]
    assert published[0].snapshot == collector.repositories.live(published[0].repository)
    assert published[0].snapshot.startswith("000002-")


def test_restart_publishes_again_when_the_disk_lost_a_snapshot(collector: CollectorHarness) -> None:
    collector.step(collector.finished(1, "a"))
    collector.repositories = FailingRepositories(collector.store)
    collector.restart()
    (published,) = collector.step()
    assert (published.jobs, published.snapshot[:6]) == ((), "000002")
    assert collector.names() == ["a_1_amd64.deb"]


def test_package_made_by_two_units_is_a_warning(collector: CollectorHarness) -> None:
    content = collector.deb("same")
    (published,) = collector.step(collector.finished(1, "a", content), collector.finished(2, "b", content))
    assert published.warnings == ("same (amd64) is made by b and by a: the package of b is listed",)
    (again,) = collector.step(collector.finished(3, "b", content))
    assert (again.snapshot, again.warnings) == (published.snapshot, published.warnings)


@pytest.mark.parametrize("shift", range(4))
def test_waiting_jobs_survive_a_restart_and_are_answered_once(collector: CollectorHarness, shift: int) -> None:
    collector.repositories.error = Retryable("disk full", delay=0.1)
    jobs = [collector.finished(number, "a") for number in (1, 2, 3, 4)]
    assert collector.step(*(jobs[shift:] + jobs[:shift])) == []
    collector.restart()
    collector.repositories.error = None
    (published,) = collector.step()
    assert set(published.jobs) == {job.job_id for job in jobs}
    assert collector.names() == ["a_4_amd64.deb"]
    assert collector.step() == []
