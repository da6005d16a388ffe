"""Drives the collector's flow over a store and repositories in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloud_builder.adapters.memory.repository import MemoryRepositories
from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.flow.collector import CollectorFlow
from cloud_builder.flow.collector.repositories import RepositoryStore
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.model.settings import CollectorSettings
from support.factories import BOOKWORM
from support.work import ReceivedEvent, RecordingWork

NAME = "demo-bookworm"


class FailingRepositories(MemoryRepositories):
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
        self.repositories = FailingRepositories(self.store)
        self.restart()

    def restart(self, settings: CollectorSettings | None = None) -> None:
        settings = settings or CollectorSettings(public_url="http://here")
        self.flow = CollectorFlow(settings, self.store, self.repositories, MemorySigner())
        self.flow.restore(self.state)

    def step(self, *payloads: e.Payload, caught_up: bool = True, after: float = 10.0) -> list[Any]:
        """Handles a batch as the mesh loop does; returns the emitted events."""
        self.now += after
        work = RecordingWork(self.state, self.now, caught_up)
        with self.state.transaction():
            for payload in payloads:
                self.flow.handle(ReceivedEvent(payload), work)
            self.flow.tick(work)
        return work.emitted

    def managed(self) -> RepositoryStore:
        """The repositories as they are stored."""
        return RepositoryStore(self.state)

    def put(self, name: str, content: str, kind: ArtifactKind | None = None) -> Artifact:
        (self.path / "file").write_text(content)
        digest, size = self.store.put(self.path / "file")
        kind = kind or (ArtifactKind.DEB if name.endswith(".deb") else ArtifactKind.LOG)
        return Artifact(name=name, sha256=digest, size=size, kind=kind)

    def deb(self, name: str, version: str = "1") -> Artifact:
        return self.put(f"{name}_{version}_amd64.deb", f"{name} {version} amd64")

    def package(self, name: str, version: str = "1", **fields: str) -> Artifact:
        """Stores a package. `fields`: of BinaryPackage."""
        lines = [f"{name} {version} amd64", *(f"{field}: {value}" for field, value in fields.items())]
        return self.put(f"{name}_{version}_amd64.deb", "\n".join(lines))

    def finished(self, sequence: int, unit: str, *artifacts: Artifact, **more: Any) -> e.JobFinished:
        fields: dict[str, Any] = {
            "job_id": f"r{sequence}.{unit.rpartition('/')[2]}",
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

    def names(self, name: str = NAME) -> list[str]:
        """File names in the live snapshot."""
        live = self.repositories.snapshots[name][self.repositories.live(name)]  # type: ignore[index,arg-type]
        return [artifact.name for artifact in live.packages["amd64"]]
