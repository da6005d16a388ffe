"""Tests of cb-request in the mesh loop with a real git repository: bytes on cb.request in, events on cb.intake out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.git import GitMirror
from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.request import RequestFlow
from cloud_builder.mesh.codec import decode
from cloud_builder.mesh.deadletter import list_dead
from cloud_builder.mesh.loop import Loop
from cloud_builder.model.events import Payload, RequestAccepted, RequestRejected, SourceRevised
from cloud_builder.model.settings import RequestSettings, SourceSettings
from cloud_builder.ports.broker import OutgoingRecord, Partition
from support.factories import changelog
from support.waiting import until

CONTROL = "Source: hello\nBuild-Depends: debhelper-compat (= 13)\n\nPackage: hello\nArchitecture: any\n"
MANIFEST = "schema_version: 0.1\nname: hello\ndistributions:\n  - {dist: bookworm, arch: x86_64}\n"


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    unit = tmp_path / "origin/projects/packages/hello"
    files = {"debian/control": CONTROL, "debian/changelog": changelog("hello"), ".cb/cloud_builder.yml": MANIFEST}
    for file, text in {**files, ".cb/build_root.kiwi": ""}.items():
        (unit / file).parent.mkdir(parents=True, exist_ok=True)
        (unit / file).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main", "origin")
    return commit(tmp_path / "origin") and tmp_path / "origin"


def commit(tree: Path) -> str:
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "change")
    return git(tree, "rev-parse", "HEAD")


class RequestDaemon:
    """cb-request with a broker in memory and a real git repository."""

    def __init__(self, tree: Path, cache: Path) -> None:
        self.broker = MemoryBroker()
        self.state = MemoryState()
        self.mirror = GitMirror(cache)
        settings = RequestSettings(poll_interval=0.1)
        sources = {"demo": SourceSettings(url=str(tree))}
        flow = RequestFlow(settings, sources, self.mirror, [DebMetadata()], None)
        self.loop = Loop(flow, self.broker, self.state)
        assert self.loop.start(Event())

    def send(self, value: bytes) -> None:
        self.broker.producer().send([OutgoingRecord("cb.request", None, value)], 1.0)

    def emitted(self) -> list[Payload]:
        consumer = self.broker.consumer({Partition("cb.intake", 0): 0})
        return [decode(record, "").payload for record in consumer.poll(1000, 0.0)]

    def until(self, condition: Callable[[Payload], bool]) -> Payload:
        def step() -> list[Payload]:
            self.loop.step(Event())
            return [event for event in self.emitted() if condition(event)]

        return until(step, lambda: f"an event after {self.emitted()}")[0]

    def close(self) -> None:
        self.loop.finish()
        self.state.close()
        self.mirror.close()


@pytest.fixture
def daemon(tree: Path, tmp_path: Path) -> Iterator[RequestDaemon]:
    daemon = RequestDaemon(tree, tmp_path / "cache")
    yield daemon
    daemon.close()


def test_plain_json_of_a_ci_job_is_accepted(daemon: RequestDaemon, tree: Path) -> None:
    daemon.send(
        json.dumps({"source": "demo", "ref": "main", "units": ["packages/hello"], "request_id": "ci-1"}).encode()
    )
    accepted = daemon.until(lambda event: isinstance(event, RequestAccepted))
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.request_id, accepted.units) == ("ci-1", ("packages/hello",))
    assert accepted.revision == git(tree, "rev-parse", "HEAD")
    revised = daemon.emitted()[0]
    assert isinstance(revised, SourceRevised)
    assert revised.units[0].tree == git(tree, "rev-parse", "HEAD:projects/packages/hello")
    assert revised.units[0].build_depends == "debhelper-compat (= 13)"


def test_push_is_noticed(daemon: RequestDaemon, tree: Path) -> None:
    daemon.until(lambda event: isinstance(event, SourceRevised))
    (tree / "projects/packages/hello/new").write_text("x")
    revision = commit(tree)
    accepted = daemon.until(lambda event: isinstance(event, RequestAccepted))
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.origin, accepted.revision, accepted.units) == ("push", revision, ("packages/hello",))


def test_push_to_a_file_that_a_link_leads_to_builds_the_unit(daemon: RequestDaemon, tree: Path) -> None:
    control = tree / "projects/packages/hello/debian/control"
    (tree / "projects/common").mkdir()
    control.rename(tree / "projects/common/control")
    control.symlink_to("../../../common/control")
    commit(tree)
    daemon.until(lambda event: isinstance(event, SourceRevised))
    (tree / "projects/common/control").write_text(CONTROL + "Provides: more\n")
    revision = commit(tree)
    accepted = daemon.until(lambda event: isinstance(event, RequestAccepted) and event.revision == revision)
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.origin, accepted.units, accepted.problems) == ("push", ("packages/hello",), ())
    revised = daemon.emitted()[-2]
    assert isinstance(revised, SourceRevised)
    assert (revised.revision, revised.changes[0].files) == (revision, ("debian/control",))
    daemon.send(b'{"source": "demo", "since": "HEAD~1", "request_id": "r-since"}')
    since = daemon.until(lambda event: isinstance(event, RequestAccepted) and event.request_id == "r-since")
    assert isinstance(since, RequestAccepted) and since.units == ("packages/hello",)


def test_unit_with_a_submodule_is_broken_at_once(daemon: RequestDaemon, tree: Path) -> None:
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},projects/packages/hello/sub")
    git(tree, "commit", "-q", "-m", "change")
    daemon.send(b'{"source": "demo", "units": ["hello"]}')
    accepted = daemon.until(lambda event: isinstance(event, RequestAccepted))
    assert isinstance(accepted, RequestAccepted)
    (problem,) = accepted.problems
    assert str(problem).startswith("projects/packages/hello: sub is a git submodule (at 1111111111)")
    revised = daemon.emitted()[0]
    assert isinstance(revised, SourceRevised) and revised.units[0].provides == ("hello",)


@pytest.mark.parametrize(
    ("value", "request_id", "message"),
    [
        (b'{"source": "demo", "request_id": "ci-2"}', "ci-2", "name the units to build"),
        (b'{"sauce": "demo", "all": true, "request_id": "ci-3"}', "ci-3", 'source: missing (is "sauce" meant'),
        (b"{not json", "", "not valid JSON"),
    ],
)
def test_malformed_message_is_answered_and_kept(
    daemon: RequestDaemon, value: bytes, request_id: str, message: str
) -> None:
    daemon.send(value)
    rejected = daemon.until(lambda event: isinstance(event, RequestRejected))
    assert isinstance(rejected, RequestRejected)
    assert rejected.code == "malformed"
    assert message in rejected.message
    assert not request_id or rejected.request_id == request_id
    assert len(list_dead(daemon.broker)) == 1


def test_acceptance_names_file_line_and_cause_of_a_broken_manifest(daemon: RequestDaemon, tree: Path) -> None:
    (tree / "projects/packages/hello/.cb/cloud_builder.yml").write_text(MANIFEST.replace("x86_64", "amd64"))
    commit(tree)
    daemon.send(b'{"source": "demo", "units": ["hello"]}')
    accepted = daemon.until(lambda event: isinstance(event, RequestAccepted))
    assert isinstance(accepted, RequestAccepted)
    (problem,) = accepted.problems
    assert str(problem).startswith("projects/packages/hello/.cb/cloud_builder.yml:4: distributions[0].arch: unknown")
    assert problem.hint == "Did you mean x86_64?"
