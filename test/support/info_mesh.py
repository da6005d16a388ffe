"""A broker and a real cb-info, for tests of cb-ctl. A test sends the events of the other daemons."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from cloud_builder.adapters.http.server import serve
from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.cli.main import run
from cloud_builder.errors import ExitCode, Retryable
from cloud_builder.flow.info import InfoFlow
from cloud_builder.mesh.client import Client
from cloud_builder.mesh.loop import Loop
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support import factories
from support.waiting import until

REVISION, TREE = "a" * 40, "b" * 40
TARGET = factories.BOOKWORM


class InfoMesh:
    """A broker with cb-info, and the events that the other daemons would have emitted."""

    def __init__(self, tmp_path: Path) -> None:
        self.broker = MemoryBroker()
        self.store = DirectoryStore(tmp_path / "store")
        self.server = serve("127.0.0.1", 0, tmp_path / "repositories", self.store)
        self.client = Client(self.broker, "test")
        self._files = tmp_path
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()
        until(self._answers, "cb-info answers")

    def _answers(self) -> bool:
        """Returns True once cb-info answers: it reads only the queries that are sent after its start."""
        try:
            return bool(self.client.query("status", {}, timeout=1.0).data)
        except Retryable:
            return False

    def _run(self) -> None:
        state = MemoryState()
        Loop(InfoFlow(f"{self.server.url}/objects"), self.broker, state).run(self._stop)
        state.close()

    def close(self) -> None:
        self._stop.set()
        self.client.send(e.InfoAsked(query_id="q-last", what="status"))
        self._thread.join()
        self.client.close()
        self.server.close()

    def stored(self, name: str, content: bytes, kind: ArtifactKind) -> Artifact:
        path = self._files / name
        path.write_bytes(content)
        digest, size = self.store.put(path)
        return Artifact(name=name, sha256=digest, size=size, kind=kind)

    def send(self, *payloads: e.Payload) -> None:
        for payload in payloads:
            self.client.send(payload)
        self.client.query("status", {})

    def follow(self, source: str = "demo") -> None:
        unit = factories.unit("hello", path="packages/hello", tree=TREE)
        self.send(
            e.SourceRevised(source=source, url="/srv", branch="main", revision=REVISION, followed=True, units=(unit,))
        )

    def accept(self, request: str = "r-1") -> None:
        self.send(
            e.RequestAccepted(
                request_id=request, source="demo", ref="main", revision=REVISION, units=("packages/hello",),
                accepted_at=1000.0,
            )
        )  # fmt: skip

    def job(self, event: type[e.JobEvent], **more: Any) -> None:
        about = {"job_id": "r-1.1", "request_id": "r-1", "source": "demo", "revision": REVISION, "at": 1001.0}
        self.send(event(**{**about, "unit": "packages/hello", "target": TARGET, **more}))

    def finish(self, outcome: RequestOutcome, job: Outcome, **more: Any) -> None:
        self.accept()
        self.job(e.JobRunning, attempt=1, runner_id="runner-1")
        self.job(e.JobFinished, outcome=job, attempt=1, runner_id="runner-1", at=1005.0, **more)
        state = e.RepositoryState(repository="demo-bookworm", snapshot="1", url="http://r/repositories/demo-bookworm")
        self.send(
            e.RequestFinished(
                request_id="r-1", source="demo", outcome=outcome, accepted_at=1000.0, finished_at=1006.0,
                repositories=(state,) if outcome is RequestOutcome.SUCCESS else (),
            )
        )  # fmt: skip


def json_output(capsys: pytest.CaptureFixture[str], *arguments: str, code: ExitCode = ExitCode.SUCCESS) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: ExitCode = ExitCode.SUCCESS) -> str:
    capsys.readouterr()
    assert run(list(arguments)) == code
    both = capsys.readouterr()
    return both.out + both.err
