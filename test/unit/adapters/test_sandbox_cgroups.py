"""Control groups: which one is delegated, what is written into it, and what is read from it.

The directories have the files of the kernel, so that the configuration of the machine does not matter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cloud_builder.adapters.sandbox.cgroups import Cgroups
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.ports.sandbox import EndReason

LIMITS = Limits(memory=100 * MIB, processes=50, cpu=2)


class Tree:
    """A file system of control groups with a delegated one."""

    def __init__(self, root: Path, controllers: str = "cpu memory pids", *, path: str = "/service") -> None:
        self.mount, self.own = root / "mount", root / "own"
        self.base = self.mount / "service"
        self.base.mkdir(parents=True)
        self.own.write_text(f"3:name=systemd:/x\n0::{path}\n")
        for name, text in (("controllers", controllers), ("subtree_control", controllers), ("procs", "")):
            (self.base / f"cgroup.{name}").write_text(text)

    def cgroups(self) -> Cgroups:
        return Cgroups(self.mount, self.own)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def delete_files(path: Path) -> None:
    """Deletes the files: the kernel deletes them with their directory, an ordinary file system does not."""
    for file in path.iterdir():
        file.unlink()


def test_run_gets_a_group_with_its_limits(tree: Tree) -> None:
    with tree.cgroups().for_run("run-1", LIMITS) as group:
        assert group is not None
        assert group.path == tree.base / "cb-build-run-1"
        written = {file.name: file.read_text() for file in group.path.iterdir()}
        delete_files(group.path)
    assert written == {
        "memory.max": str(100 * MIB),
        "memory.swap.max": "0",
        "pids.max": "52",
        "cpu.max": "200000 100000",
    }
    assert not group.path.exists()


def test_limit_that_the_kernel_enforced_is_read(tree: Tree) -> None:
    with tree.cgroups().for_run("run-1", LIMITS) as group:
        assert group is not None
        assert group.reached() is None
        (group.path / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 0\n")
        assert group.reached() is None
        (group.path / "pids.events").write_text("max 4\n")
        assert group.reached() is EndReason.PROCESSES
        (group.path / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 3\n")
        assert group.reached() is EndReason.MEMORY
        delete_files(group.path)


@pytest.mark.parametrize("controllers", ["", "cpu io", "memory cpu", "hugetlb"])
def test_without_the_controllers_there_are_no_groups(tmp_path: Path, controllers: str) -> None:
    with Tree(tmp_path, controllers).cgroups().for_run("run-1", LIMITS) as group:
        assert group is None


def test_without_cgroup_v2_there_are_no_groups(tree: Tree) -> None:
    tree.own.write_text("8:pids:/\n4:memory:/x\n")
    assert tree.cgroups().base() is None
    tree.own.unlink()
    assert tree.cgroups().base() is None


def test_run_without_limits_has_no_group(tree: Tree) -> None:
    with tree.cgroups().for_run("run-1", None) as group:
        assert group is None


def test_runner_moves_into_a_leaf_so_that_controllers_can_be_enabled(tree: Tree) -> None:
    (tree.base / "cgroup.subtree_control").write_text("")
    assert tree.cgroups().base() == tree.base
    assert (tree.base / "cb-runner" / "cgroup.procs").read_text() == str(os.getpid())
    tree.own.write_text("0::/service/cb-runner\n")
    assert tree.cgroups().base() == tree.base


def test_group_with_other_processes_is_left_as_it_was(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    control, write = tree.base / "cgroup.subtree_control", Path.write_text
    control.write_text("")

    def busy(self: Path, text: str, **more: str) -> int:
        if self == control:
            raise OSError(16, "Device or resource busy")
        return write(self, text, **more)

    monkeypatch.setattr(Path, "write_text", busy)
    assert tree.cgroups().base() is None
    assert (tree.base / "cgroup.procs").read_text() == str(os.getpid())


def test_processes_started_meanwhile_are_moved_too(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel enables no controllers while a process is in the group, beside the leaf."""
    control, procs, leaf = tree.base / "cgroup.subtree_control", tree.base / "cgroup.procs", tree.base / "cb-runner"
    control.write_text("")
    procs.write_text("11\n")
    write, moved = Path.write_text, []

    def kernel(self: Path, text: str, **more: str) -> int:
        if self == leaf / "cgroup.procs":
            moved.append(text)
        if self == control and "12" not in moved and "memory" in text:
            write(procs, "12\n")
            raise OSError(16, "Device or resource busy")
        return write(self, text, **more)

    monkeypatch.setattr(Path, "write_text", kernel)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert tree.cgroups().base() == tree.base
    assert moved == [str(os.getpid()), "11", "12"]


def test_groups_of_a_killed_runner_are_removed(tree: Tree) -> None:
    (tree.base / "cb-build-old").mkdir()
    tree.cgroups().base()
    assert not (tree.base / "cb-build-old").exists()
