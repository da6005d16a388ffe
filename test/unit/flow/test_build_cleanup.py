"""Tests of the removal of a build's files after its end. If it fails, the next build or start tries again."""

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


class FailingRemoval:
    """A sandbox that cannot remove anything `failures` times."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    def remove(self, path: Path) -> None:
        if path.exists() and self._failures:
            raise self._failures.pop(0)
        shutil.rmtree(path, ignore_errors=True)


class EmptyMirror:
    """A mirror without the source."""

    def export(self, source, url, revision, directory, into, *, cancel):
        into.mkdir()
        raise Permanent("no such directory", code="source")


def builder(tmp_path, sandbox) -> PackageBuilder:
    recipe = SimpleNamespace(error_rank=lambda line: 0)
    roots = SimpleNamespace(sweep=lambda: None)
    return PackageBuilder(
        runner_id="r1", mirror=EmptyMirror(), roots=roots, sandbox=sandbox, recipe=recipe, store=MemoryStore(),
        work=tmp_path, cores=1,
    )  # fmt: skip


@pytest.mark.parametrize("failure", [Retryable("Device or resource busy"), OSError(28, "No space left on device")])
def test_failed_removal_keeps_the_outcome_and_the_next_build_repeats_it(tmp_path, failure):
    build = builder(tmp_path, FailingRemoval(failure)).build
    report = build(assignment(1), lambda piece: None, Event())
    assert (report.outcome, report.code) == (Outcome.FAILURE, "source")
    assert [path.name.rpartition(".")[0] for path in (tmp_path / "jobs").iterdir()] == ["q.1.1"]
    build(assignment(2), lambda piece: None, Event())
    assert list((tmp_path / "jobs").iterdir()) == []


def test_directory_of_another_running_build_is_kept(tmp_path):
    build = builder(tmp_path, FailingRemoval()).build
    with own_directory(tmp_path / "jobs" / "other.1.1"):
        build(assignment(1), lambda piece: None, Event())
        assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["other.1.1"]


def test_threads_are_idle_when_all_tasks_have_ended():
    threads, go, done = BuildThreads(), Event(), []
    threads.submit(lambda: (go.wait(LIMIT), done.append(True)), 1)
    assert not threads.wait_idle(0.0)
    go.set()
    assert threads.wait_idle(LIMIT)
    assert done == [True]


def test_runner_ends_only_when_its_builds_have_cleaned_up(monkeypatch):
    monkeypatch.setattr("cloud_builder.flow.runner.flow.STOP_SECONDS", 0.0)
    started, cleaned = Event(), []

    def build(assigned, log, cancel):
        started.set()
        cancel.wait(LIMIT)
        slow.wait(LIMIT)
        cleaned.append(assigned.job_id)
        return Outcome.CANCELED

    slow = Event()
    harness = RunnerHarness(build)
    harness.deliver(assignment())
    assert started.wait(LIMIT)
    harness.stop()
    assert cleaned == [], "the job is released before the build has ended"
    slow.set()
    harness.flow.close()
    assert cleaned == ["q.1"]


def test_builds_end_when_their_jobs_could_not_be_released():
    started, ended = Event(), []

    def build(assigned, log, cancel):
        started.set()
        ended.append(cancel.wait(LIMIT))
        return Outcome.CANCELED

    harness = RunnerHarness(build)
    harness.deliver(assignment())
    assert started.wait(LIMIT)
    harness.flow.close()
    assert ended == [True]
