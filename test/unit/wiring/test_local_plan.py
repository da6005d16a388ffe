"""The units of a working tree that `cb-ctl build` builds, and their order."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from cloud_builder.builder.task import task_for_directory
from cloud_builder.errors import Rejected
from cloud_builder.wiring.local_build import check, check_sources, plan
from support.factories import changelog


def package(top: Path, name: str, needs: str = "debhelper") -> Path:
    directory = top / "projects" / "packages" / name
    target = f"{{dist: bookworm, arch: {platform.machine()}}}"
    profile = f'<profile name="bookworm.{platform.machine()}"/>'
    for file, text in {
        ".cb/cloud_builder.yml": f"schema_version: 1.0\nname: {name}\ndistributions: [{target}]\n",
        ".cb/build_root.kiwi": f"<image><profiles>{profile}</profiles></image>",
        "debian/control": f"Source: {name}\nBuild-Depends: {needs}\n\nPackage: {name}\nArchitecture: any\n",
        "debian/changelog": changelog(name),
    }.items():
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(text)
    return directory


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_plan_has_only_the_unit_and_what_it_needs_in_order(tree: Path) -> None:
    card = package(tree, "card", "tool")
    package(tree, "tool", "lib | other")
    package(tree, "lib")
    package(tree, "other")
    steps = plan(card, None, with_needs=True)
    assert [(step.unit.name, step.is_requested) for step in steps] == [("lib", False), ("tool", False), ("card", True)]
    assert [step.unit.name for step in plan(card, None, with_needs=False)] == ["card"]


def test_plan_rejects_a_cycle_unless_without_dependencies(tree: Path) -> None:
    egg = package(tree, "egg", "chicken")
    package(tree, "chicken", "egg")
    with pytest.raises(Rejected, match="packages/chicken, packages/egg") as caught:
        plan(egg, None, with_needs=True)
    assert "--no-deps" in caught.value.hint
    assert [step.unit.name for step in plan(egg, None, with_needs=False)] == ["egg"]


def test_check_compares_the_files_of_a_dsc_with_their_checksums(tree: Path) -> None:
    directory = package(tree, "tool")
    listed = f"Checksums-Sha256:\n {'0' * 64} 1 tool_1.tar.xz\n"
    (directory / "tool_1.dsc").write_text(f"Source: tool\nVersion: 1\nBinary: tool\n{listed}")
    (directory / "tool_1.tar.xz").write_text("x")
    units, problems = check(tree)
    assert problems == ()
    (problem,) = check_sources(tree, units)
    assert (problem.path, problem.file) == ("packages/tool", "projects/packages/tool/tool_1.dsc")
    assert "tool_1.tar.xz does not match its checksum" in problem.message


def test_link_to_a_file_of_the_same_working_tree_is_read_and_copied(tree: Path, tmp_path: Path) -> None:
    directory = package(tree, "tool")
    for name in ("control", "changelog"):
        (directory / "debian" / name).rename(tree / name)
        (directory / "debian" / name).symlink_to(f"../../../../{name}")
    (tree / "po").mkdir()
    (tree / "po/de.po").write_text("text")
    (directory / "po").symlink_to("../../../po")
    (directory / "outside").symlink_to("/etc/hostname")
    units, problems = check(tree)
    assert (problems, check_sources(tree, units)) == ((), ())
    copy = tmp_path / "copy"
    task_for_directory(directory, units[0].targets[0]).fetch(copy)
    assert (copy / "debian/control").read_text() == (tree / "control").read_text()
    assert not (copy / "debian/control").is_symlink()
    assert (copy / "po/de.po").read_text() == "text"
    assert (copy / "outside").is_symlink()


@pytest.mark.parametrize("name", ["lib", "lib-dev"])
def test_plan_rejects_a_unit_that_needs_a_broken_one(tree: Path, name: str) -> None:
    control = package(tree, "lib") / "debian" / "control"
    control.write_text(control.read_text() + "\nPackage: lib-dev\n<<<<<<< HEAD\n")
    app = package(tree, "app", name)
    with pytest.raises(Rejected, match="packages/app needs packages/lib, which cannot be read") as caught:
        plan(app, None, with_needs=True)
    assert caught.value.code == "broken-unit"
