"""Base roots are made once, shared through the store, and kept while in use.

With the real sandbox and store, and a root without a distribution."""

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
    """A runner's directory of base roots, over a store that several runners share."""

    def __init__(self, directory: Path, store: Path, keep: int = 4) -> None:
        self.directory, self.maker = directory, MemoryRoots()
        self.sandbox = NamespaceSandbox(directory / "scratch")
        self.roots = BuildrootCache(self.maker, self.sandbox, DirectoryStore(store), directory, keep)
        self.description = directory / "build_root.kiwi"
        self.description.write_text("<image/>")
        self.log: list[bytes] = []

    def ready(self, profile: str = "bookworm.x86_64", repositories: str = "state", cancel: Event | None = None):
        return self.roots.acquire(self.description, profile, repositories, self.log.append, cancel or Event())

    def leftovers(self) -> list[str]:
        hidden = [path.name for path in (self.directory / "roots").glob(".*") if not path.name.startswith(".lock")]
        return hidden + [path.name for path in (self.directory / "scratch").glob("*")]


@pytest.fixture
def machine(tmp_path):
    def make(name: str = "runner", keep: int = 4) -> Machine:
        (tmp_path / name).mkdir(exist_ok=True)
        return Machine(tmp_path / name, tmp_path / "store", keep)

    return make


def test_root_is_made_once_and_then_used(machine):
    runner = machine()
    first, second = runner.ready(), runner.ready()
    assert first == second
    assert (first.path / "profile").read_text() == "bookworm.x86_64"
    assert runner.maker.made == ["bookworm.x86_64"]
    assert runner.roots.keys() == (first.key,)
    assert runner.leftovers() == []


def test_slots_that_need_a_root_at_once_wait_for_one_root(machine):
    runner = machine()
    with ThreadPoolExecutor(6) as slots:
        found = list(slots.map(lambda _: runner.ready(), range(6)))
    assert len({root.key for root in found}) == 1
    assert len(runner.maker.made) == 1
    assert runner.leftovers() == []


def test_another_machine_fetches_the_root_from_the_store(machine):
    here, there = machine("here"), machine("there")
    assert here.ready().key == there.ready().key
    assert there.maker.made == []
    assert (there.ready().path / "description").read_text() == "<image/>"


@pytest.mark.parametrize("change", ["description", "profile", "repositories"])
def test_other_input_makes_another_root(machine, change):
    runner = machine()
    before = runner.ready()
    if change == "description":
        runner.description.write_text("<image></image>")
    after = runner.ready(**({change: "other"} if change != "description" else {}))
    assert before.key != after.key
    assert len(runner.maker.made) == 2


def test_damaged_archive_in_the_store_is_replaced(machine, tmp_path):
    machine("here").ready()
    for stored in (tmp_path / "store" / "objects").rglob("*"):
        if stored.is_file():
            stored.chmod(0o644)
            stored.write_bytes(b"damaged")
    there = machine("there")
    assert (there.ready().path / "profile").exists()
    assert len(there.maker.made) == 1
    assert there.leftovers() == []


def test_failed_preparation_leaves_nothing_and_can_be_repeated(machine):
    runner = machine()
    runner.maker.error = Permanent("no such package", code="root")
    with pytest.raises(Permanent, match="no such package"):
        runner.ready()
    assert runner.roots.keys() == ()
    assert runner.leftovers() == []
    runner.maker.error = None
    assert runner.ready()


def test_cancel_raises_canceled(machine):
    runner, cancel = machine(), Event()
    runner.maker.error = Permanent("ended", code="canceled")
    cancel.set()
    with pytest.raises(Canceled):
        runner.ready(cancel=cancel)


def test_least_recently_used_root_is_removed_unless_in_use(machine):
    runner = machine(keep=1)
    used, unused = runner.ready("a.x86_64"), runner.ready("b.x86_64").key
    last = runner.ready("c.x86_64")
    assert set(runner.roots.keys()) == {used.key, last.key}
    assert not (runner.directory / "roots" / unused).exists()
    assert used.path.exists()


def test_sweep_removes_the_files_of_a_killed_process(machine):
    runner = machine()
    (runner.directory / "roots" / ".new-half-made" / "root").mkdir(parents=True)
    (runner.directory / "scratch").mkdir(exist_ok=True)
    (runner.directory / "scratch" / "run-of-the-dead").mkdir()
    runner.roots.sweep()
    assert runner.leftovers() == []


def test_log_of_each_build_names_the_repositories_that_nobody_verifies(machine):
    runner = machine()
    runner.maker.unverified = ("http://m/debian",)
    for _ in range(2):
        runner.log.clear()
        runner.ready()
        assert b"has unverified packages: no signature of http://m/debian is checked" in b"".join(runner.log)
