"""The contract of ports.store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.errors import Permanent
from cloud_builder.model.ids import Digest
from cloud_builder.ports.store import ObjectStore


@dataclass(frozen=True)
class StoreUnderTest:
    store: ObjectStore
    damage: Callable[[Digest, bytes], None]


def memory(_: Path) -> StoreUnderTest:
    store = MemoryStore()
    return StoreUnderTest(store, store.objects.__setitem__)


def directory(path: Path) -> StoreUnderTest:
    def damage(digest: Digest, content: bytes) -> None:
        file = path / "store/objects" / digest[:2] / digest
        file.unlink()
        file.write_bytes(content)

    return StoreUnderTest(DirectoryStore(path / "store"), damage)


@pytest.fixture(params=[memory, directory], ids=["memory", "directory"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> StoreUnderTest:
    made: StoreUnderTest = request.param(tmp_path)
    return made


@pytest.fixture
def store(subject: StoreUnderTest) -> ObjectStore:
    return subject.store


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


UNKNOWN = Digest("0" * 64)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 10_000], ids=["empty", "small", "pieces"])
def test_stored_file_is_read_back(store: ObjectStore, tmp_path: Path, content: bytes) -> None:
    digest, size = store.put(written(tmp_path / "in", content))
    assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert store.has(digest)
    assert store.size(digest) == size
    with store.open(digest) as file:
        assert file.read() == content
    store.fetch(digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    store.verify(digest)


def test_putting_twice_is_the_same_object(store: ObjectStore, tmp_path: Path) -> None:
    first = store.put(written(tmp_path / "a", b"same"))
    assert store.put(written(tmp_path / "b", b"same")) == first


def test_changing_the_file_afterwards_leaves_the_object_alone(store: ObjectStore, tmp_path: Path) -> None:
    digest, _ = store.put(written(tmp_path / "in", b"before"))
    written(tmp_path / "in", b"after!")
    store.verify(digest)


def test_fetch_replaces_a_file_also_when_repeated(store: ObjectStore, tmp_path: Path) -> None:
    digest, _ = store.put(written(tmp_path / "in", b"new"))
    out = written(tmp_path / "sub", b"old")
    for _ in range(3):
        store.fetch(digest, out)
        assert out.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["in", "sub"]


@pytest.mark.parametrize("digest", [UNKNOWN, Digest("../../etc/passwd"), Digest("")], ids=["unknown", "path", "empty"])
def test_an_unknown_object_is_missing(store: ObjectStore, tmp_path: Path, digest: Digest) -> None:
    assert not store.has(digest)
    asks: list[Callable[[], object]] = [
        lambda: store.size(digest),
        lambda: store.open(digest),
        lambda: store.fetch(digest, tmp_path / "out"),
        lambda: store.verify(digest),
    ]
    for ask in asks:
        with pytest.raises(Permanent) as caught:
            ask()
        assert caught.value.code == "object-missing"
        assert caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", [b"hellO", b"", b"hello and more"], ids=["flipped", "empty", "longer"])
def test_damaged_object_is_found_and_never_returned(subject: StoreUnderTest, tmp_path: Path, damaged: bytes) -> None:
    digest, _ = subject.store.put(written(tmp_path / "in", b"hello"))
    subject.damage(digest, damaged)
    out = written(tmp_path / "out", b"old")
    asks: list[Callable[[], None]] = [lambda: subject.store.verify(digest), lambda: subject.store.fetch(digest, out)]
    for ask in asks:
        with pytest.raises(Permanent) as caught:
            ask()
        assert caught.value.code == "object-corrupt"
    assert out.read_bytes() == b"old"


def test_put_repairs_a_truncated_object(subject: StoreUnderTest, tmp_path: Path) -> None:
    digest, _ = subject.store.put(written(tmp_path / "in", b"hello"))
    subject.damage(digest, b"he")
    subject.store.put(tmp_path / "in")
    subject.store.verify(digest)


def test_names_point_at_objects_and_move(store: ObjectStore, tmp_path: Path) -> None:
    one, _ = store.put(written(tmp_path / "1", b"1"))
    two, _ = store.put(written(tmp_path / "2", b"2"))
    assert store.named("buildroot/abc") is None
    store.name("buildroot/abc", one)
    store.name("buildroot/abd", one)
    store.name("buildroot/abc", two)
    assert (store.named("buildroot/abc"), store.named("buildroot/abd")) == (two, one)


def test_many_threads_put_the_same_and_different_objects(store: ObjectStore, tmp_path: Path) -> None:
    files = [written(tmp_path / str(number), b"x" * (number % 5)) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        digests = {digest for digest, _ in pool.map(store.put, files)}
    assert len(digests) == 5
    for digest in digests:
        store.verify(digest)


def test_unused_objects_are_pruned_but_not_those_that_are_kept_or_named(store: ObjectStore, tmp_path: Path) -> None:
    digests = {name: store.put(written(tmp_path / name, name.encode() * 9))[0] for name in ("old", "kept", "named")}
    store.name("buildroot/x", digests["named"])
    future = time.time() + 60
    for digest in digests.values():
        assert store.prune(digest[:2], time.time() - 3600, ()) == 0
        assert store.prune("ff" if digest[:2] != "ff" else "fe", future, {digests["kept"], *digests.values()}) == 0
    freed = sum(store.prune(f"{number:02x}", future, {digests["kept"]}) for number in range(256))
    assert freed == len("old") * 9
    assert {name: store.has(digest) for name, digest in digests.items()} == {"old": False, "kept": True, "named": True}
    assert store.touch(digests["kept"])
    assert store.touch(UNKNOWN)
