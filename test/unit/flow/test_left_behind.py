"""What a build has on disk is gone when it has ended, whatever comes in between; and if not, somebody tries again."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.builder.package import PackageBuilder
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.files.directories import own_directory
from cloud_builder.flow.runner.build_threads import BuildThreads
from cloud_builder.model.outcome import Outcome
from support.factories import assignment
from support.runner_harness import RunnerHarness
from support.waiting import LIMIT


class Clumsy:
    """A sandbox that cannot remove anything `failures` times."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    def remove(self, path: Path) -> None:
        if path.exists() and self._failures:
            raise self._failures.pop(0)
        shutil.rmtree(path, ignore_errors=True)


class Broken:
    """A mirror without the source."""

    def export(self, source, url, revision, directory, into, *, cancel):
        into.mkdir()
        raise Permanent("no such directory", code="source")


def builder(tmp_path, sandbox) -> PackageBuilder:
    recipe = SimpleNamespace(error_rank=lambda line: 0)
    roots = SimpleNamespace(sweep=lambda: None)
    return PackageBuilder(
        runner_id="r1", mirror=Broken(), roots=roots, sandbox=sandbox, recipe=recipe, store=MemoryStore(),
        work=tmp_path, cores=1,
    )  # fmt: skip


@pytest.mark.parametrize("failure", [Retryable("Device or resource busy"), OSError(28, "No space left on device")])
def test_a_removal_that_fails_does_not_change_an_outcome_and_is_tried_again_with_the_next_build(tmp_path, failure):
    build = builder(tmp_path, Clumsy(failure)).build
    report = build(assignment(1), lambda piece: None, Event())
    assert (report.outcome, report.code) == (Outcome.FAILURE, "source")
    assert [path.name.rpartition(".")[0] for path in (tmp_path / "jobs").iterdir()] == ["q.1.1"]
    build(assignment(2), lambda piece: None, Event())
    assert list((tmp_path / "jobs").iterdir()) == []


def test_the_next_build_leaves_alone_what_another_one_is_at_work_in(tmp_path):
    build = builder(tmp_path, Clumsy()).build
    with own_directory(tmp_path / "jobs" / "other.1.1"):
        build(assignment(1), lambda piece: None, Event())
        assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["other.1.1"]


def test_hands_rest_when_all_is_done():
    hands, go, done = BuildThreads(), Event(), []
    hands.submit(lambda: (go.wait(LIMIT), done.append(True)), 1)
    assert not hands.wait_idle(0.0)
    go.set()
    assert hands.wait_idle(LIMIT)
    assert done == [True]


def test_a_runner_is_gone_only_when_its_builds_have_cleaned_up(monkeypatch):
    monkeypatch.setattr("cloud_builder.flow.runner.flow.STOP_SECONDS", 0.0)
    begun, cleaned = Event(), []

    def build(order, log, cancel):
        begun.set()
        cancel.wait(LIMIT)
        slow.wait(LIMIT)
        cleaned.append(order.job_id)
        return Outcome.CANCELED

    slow = Event()
    harness = RunnerHarness(build)
    harness.deliver(assignment())
    assert begun.wait(LIMIT)
    harness.stop()
    assert cleaned == [], "it was handed back before it had ended"
    slow.set()
    harness.flow.close()
    assert cleaned == ["q.1"]


def test_builds_end_also_when_they_could_not_be_handed_back():
    begun, ended = Event(), []

    def build(order, log, cancel):
        begun.set()
        ended.append(cancel.wait(LIMIT))
        return Outcome.CANCELED

    harness = RunnerHarness(build)
    harness.deliver(assignment())
    assert begun.wait(LIMIT)
    harness.flow.close()
    assert ended == [True]
