"""Unused objects leave the store; those that are published, or that a job has used lately, stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.flow.collector.store_retention import PRUNE_INTERVAL, StoreRetention
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.repository import RepositoryEntry
from support.factories import BOOKWORM
from support.work import RecordingWork

DAY = 86400.0


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def stored(store: MemoryStore, path: Path, used_at: float) -> Artifact:
    path.write_text(path.name)
    digest, size = store.put(path)
    store.used_at[digest] = used_at
    return Artifact(name=path.name, sha256=digest, size=size, kind=ArtifactKind.DEB)


def pruned(retention: StoreRetention, work: RecordingWork, *entries: RepositoryEntry) -> None:
    for _ in range(256):
        work.now += PRUNE_INTERVAL
        retention.prune(work, entries)


def job(*artifacts: Artifact) -> e.JobFinished:
    return e.JobFinished(
        job_id="r.1", request_id="r", source="s", revision="a" * 40, unit="p/a", target=BOOKWORM, at=1.0,
        outcome=Outcome.REUSED, artifacts=artifacts,
    )  # fmt: skip


def test_only_unpublished_objects_without_use_are_deleted(store: MemoryStore, tmp_path: Path) -> None:
    work = RecordingWork(MemoryState())
    work.now = 1000 * DAY
    old, used, new, live = (stored(store, tmp_path / name, work.now - 200 * DAY) for name in ("old", "u", "n", "l"))
    store.used_at[new.sha256] = work.now - 100 * DAY
    retention = StoreRetention(store, 190 * DAY)
    retention.on_job_finished(job(used))
    entry = RepositoryEntry(unit="p/a", target="t", arch="x86_64", sequence=1, job_id="r.1", packages=(live,))
    pruned(retention, work, entry)
    assert {*store.objects} == {used.sha256, new.sha256, live.sha256}
    assert old.sha256 not in store.objects


def test_nothing_is_deleted_without_a_retention_or_before_all_was_read(store: MemoryStore, tmp_path: Path) -> None:
    work = RecordingWork(MemoryState())
    work.now = 1000 * DAY
    stored(store, tmp_path / "old", 0.0)
    pruned(StoreRetention(store, 0.0), work)
    work.caught_up = False
    pruned(StoreRetention(store, DAY), work)
    assert len(store.objects) == 1


def test_nothing_is_deleted_when_a_use_cannot_be_recorded(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = RecordingWork(MemoryState())
    work.now = 1000 * DAY
    old = stored(store, tmp_path / "old", 0.0)
    monkeypatch.setattr(store, "touch", lambda digest: False)
    retention = StoreRetention(store, DAY)
    retention.on_job_finished(job(old))
    pruned(retention, work)
    assert len(store.objects) == 1
