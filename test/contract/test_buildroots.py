"""Base roots: made once, shared through the store, kept while in use. Real sandbox and store, a root without a
distribution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from cloud_builder.adapters.memory.roots import MemoryRoots
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.builder.build_log import Canceled
from cloud_builder.builder.buildroot_cache import BuildrootCache
from cloud_builder.errors import Permanent


class Machine:
    """One runner's root folder, over a store that several share."""

    def __init__(self, place: Path, store: Path, keep: int = 4) -> None:
        self.place, self.maker = place, MemoryRoots()
        self.sandbox = NamespaceSandbox(place / "scratch")
        self.roots = BuildrootCache(self.maker, self.sandbox, DirectoryStore(store), place, keep)
        self.description = place / "build_root.kiwi"
        self.description.write_text("<image/>")
        self.log: list[bytes] = []

    def ready(self, profile: str = "bookworm.x86_64", repositories: str = "state", cancel: Event | None = None):
        return self.roots.acquire(self.description, profile, repositories, self.log.append, cancel or Event())

    def leftovers(self) -> list[str]:
        hidden = [path.name for path in (self.place / "roots").glob(".*") if not path.name.startswith(".lock")]
        return hidden + [path.name for path in (self.place / "scratch").glob("*")]


@pytest.fixture
def machine(tmp_path):
    def make(name: str = "one", keep: int = 4) -> Machine:
        (tmp_path / name).mkdir(exist_ok=True)
        return Machine(tmp_path / name, tmp_path / "store", keep)

    return make


def test_a_root_is_made_once_and_then_used(machine):
    one = machine()
    first, second = one.ready(), one.ready()
    assert first == second
    assert (first.path / "profile").read_text() == "bookworm.x86_64"
    assert one.maker.made == ["bookworm.x86_64"]
    assert one.roots.keys() == (first.key,)
    assert one.leftovers() == []


def test_slots_that_ask_at_once_wait_for_one_root(machine):
    one = machine()
    with ThreadPoolExecutor(6) as slots:
        found = list(slots.map(lambda _: one.ready(), range(6)))
    assert len({root.key for root in found}) == 1
    assert len(one.maker.made) == 1
    assert one.leftovers() == []


def test_another_machine_fetches_it_from_the_store(machine):
    here, there = machine("here"), machine("there")
    assert here.ready().key == there.ready().key
    assert there.maker.made == []
    assert (there.ready().path / "description").read_text() == "<image/>"


@pytest.mark.parametrize("change", ["description", "profile", "repositories"])
def test_another_input_is_another_root(machine, change):
    one = machine()
    before = one.ready()
    if change == "description":
        one.description.write_text("<image></image>")
    after = one.ready(**({change: "other"} if change != "description" else {}))
    assert before.key != after.key
    assert len(one.maker.made) == 2


def test_a_damaged_archive_in_the_store_is_made_again(machine, tmp_path):
    machine("here").ready()
    for stored in (tmp_path / "store" / "objects").rglob("*"):
        if stored.is_file():
            stored.chmod(0o644)
            stored.write_bytes(b"damaged")
    there = machine("there")
    assert (there.ready().path / "profile").exists()
    assert len(there.maker.made) == 1
    assert there.leftovers() == []


def test_a_failed_preparation_leaves_nothing_and_can_be_tried_again(machine):
    one = machine()
    one.maker.error = Permanent("no such package", code="root")
    with pytest.raises(Permanent, match="no such package"):
        one.ready()
    assert one.roots.keys() == ()
    assert one.leftovers() == []
    one.maker.error = None
    assert one.ready()


def test_cancel_is_told_as_such(machine):
    one, cancel = machine(), Event()
    one.maker.error = Permanent("ended", code="canceled")
    cancel.set()
    with pytest.raises(Canceled):
        one.ready(cancel=cancel)


def test_the_least_recently_used_goes_unless_it_is_in_use(machine):
    one = machine(keep=1)
    held, unused = one.ready("a.x86_64"), one.ready("b.x86_64").key
    last = one.ready("c.x86_64")
    assert set(one.roots.keys()) == {held.key, last.key}
    assert not (one.place / "roots" / unused).exists()
    assert held.path.exists()


def test_what_a_killed_process_left_is_swept(machine):
    one = machine()
    (one.place / "roots" / ".new-half-made" / "root").mkdir(parents=True)
    (one.place / "scratch").mkdir(exist_ok=True)
    (one.place / "scratch" / "run-of-the-dead").mkdir()
    one.roots.sweep()
    assert one.leftovers() == []
