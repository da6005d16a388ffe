"""Tests of the discovery of units in a commit and in a directory. A problem names its file and hides no other unit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.deb.repository_state import OfflineStates
from cloud_builder.adapters.git import GitMirror
from cloud_builder.flow.request import check_tree
from cloud_builder.flow.request.discover import DiscoveredUnits, UnitDiscovery
from cloud_builder.flow.request.tree import CommitTree
from cloud_builder.model.capacity import Capacity
from cloud_builder.model.ids import SourceName
from cloud_builder.model.outcome import Kind
from support.factories import changelog

KIWI = '<image><profiles><profile name="sid.x86_64"/></profiles></image>'
CONTROL = "Source: {0}\nBuild-Depends: debhelper\n\nPackage: {0}\nArchitecture: any\n"
MANIFEST = "schema_version: 1.0\nname: {}\ndistributions: [{{dist: sid, arch: x86_64}}]\n"
DSC = f"Source: bad\nVersion: 1\nBinary: bad\nChecksums-Sha256:\n {'0' * 64} 1 bad_1.tar.xz\n"
IMAGE = "schema_version: 0.1\nname: {}\nimages: [{{arch: x86_64, selection: {{name: standard}}}}]\n"


def unit(root: Path, path: str, manifest: str = MANIFEST) -> Path:
    directory = root / path
    (directory / ".cb").mkdir(parents=True)
    (directory / "debian").mkdir()
    (directory / ".cb/cloud_builder.yml").write_text(manifest.format(directory.name))
    (directory / ".cb/build_root.kiwi").write_text(KIWI)
    (directory / "debian/control").write_text(CONTROL.format(directory.name))
    (directory / "debian/changelog").write_text(changelog(directory.name))
    return directory


def commit(root: Path) -> str:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], cwd=root, check=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout


Discover = Callable[[], DiscoveredUnits]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    unit(root, "projects/packages/hello")
    return root


@pytest.fixture(params=["commit", "directory"])
def discover(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Discover]:
    """Discovers the units that are in `root` now."""
    mirror = GitMirror(tmp_path / "cache")
    demo = SourceName("demo")

    def in_commit() -> DiscoveredUnits:
        commit(root)
        mirror.refresh(demo, str(root))
        tree = CommitTree(mirror, demo, mirror.resolve(demo, "main"))
        return UnitDiscovery([DebMetadata()], OfflineStates(), 1 << 20).discover(tree)

    def in_directory() -> DiscoveredUnits:
        return DiscoveredUnits(*check_tree(root, [DebMetadata()], OfflineStates()))

    yield in_commit if request.param == "commit" else in_directory
    mirror.close()


def test_versions_are_those_of_the_changelog(root: Path, discover: Discover) -> None:
    debian = root / "projects/packages/hello/debian"
    (debian / "changelog").write_text(
        "hello (2.0-1) unstable; urgency=low\n\n  * x\n\n -- A <a@b.c>  Mon, 1 Jan 2024 00:00:00 +0000\n"
    )
    with (debian / "control").open("a") as control:
        control.write("Provides: greeter (= ${binary:Version}), salute\n")
    [hello] = discover().units
    assert (hello.version, hello.virtual) == ("2.0-1", {"greeter": ("2.0-1",), "salute": ()})


def test_unit_names_the_repositories_that_nobody_verifies(root: Path, discover: Discover) -> None:
    sources = '<repository repository_gpgcheck="{}"><source path="http://m/{}"/></repository>'
    text = KIWI.replace("</image>", sources.format("false", "a") + sources.format("true", "b") + "</image>")
    (root / "projects/packages/hello/.cb/build_root.kiwi").write_text(text)
    [hello] = discover().units
    assert hello.unverified == ("http://m/a",)


def test_units_may_be_in_any_directory(root: Path, discover: Discover) -> None:
    unit(root, "deep/er/still/tool")
    unit(root, "projects/images/standard", IMAGE)
    found = discover()
    assert [(unit.path, unit.directory, unit.kind) for unit in found.units] == [
        ("deep/er/still/tool", "deep/er/still/tool", Kind.PACKAGE),
        ("images/standard", "projects/images/standard", Kind.IMAGE),
        ("packages/hello", "projects/packages/hello", Kind.PACKAGE),
    ]
    assert found.all_problems == ()
    assert found.units[1].buildroot is None


def test_path_that_only_ends_like_a_manifest_is_ignored(root: Path, discover: Discover) -> None:
    (root / "x.cb").mkdir()
    (root / "x.cb/cloud_builder.yml").write_text("nonsense")
    assert discover().all_problems == ()


def remove(path: str) -> Callable[[Path], object]:
    return lambda directory: (directory / path).unlink()


def write(path: str, text: str) -> Callable[[Path], object]:
    return lambda directory: (directory / path).write_text(text)


def link(path: str, to: str) -> Callable[[Path], object]:
    def make(directory: Path) -> None:
        (directory / path).unlink()
        (directory / path).symlink_to(to)

    return make


def no_packaging(directory: Path) -> None:
    (directory / "debian/control").unlink()
    (directory / "debian/changelog").unlink()
    (directory / "debian").rmdir()


@pytest.mark.parametrize(
    ("damage", "location", "message", "hint"),
    [
        (remove(".cb/build_root.kiwi"), ".cb/build_root.kiwi:0", "the file is missing", "KIWI description"),
        (write(".cb/build_root.kiwi", "<image"), ".cb/build_root.kiwi:0", "not well-formed", ""),
        (write(".cb/build_root.kiwi", KIWI.replace("sid", "sit")), ".cb/build_root.kiwi:0", "no profile sid", "sit"),
        (write(".cb/build_root.kiwi", "x" * (1 << 21)), ".cb/build_root.kiwi:0", "are allowed", ""),
        (link(".cb/build_root.kiwi", "nowhere"), ".cb/build_root.kiwi:0", "is a link to nowhere", ""),
        (write("debian/control", "x"), "debian/control:1", "not a field", "Name: value"),
        (remove("debian/changelog"), "debian/changelog:0", "the file is missing", ""),
        (
            write("debian/control", "Source: bad\n\nPackage: bad\nArchitecture: arm64 any-i386\n"),
            ".cb/cloud_builder.yml:0",
            "makes no package for amd64: its packages are for any-i386, arm64",
            "Take sid.x86_64 out of the manifest",
        ),
        (write("bad.dsc", DSC), "bad.dsc:5", "it lists bad_1.tar.xz, which is not in the unit", "directory"),
        (no_packaging, ":0", "nothing here says how the package is built", "debian/control or a *.dsc"),
        (
            write(".cb/cloud_builder.yml", MANIFEST.format("bad") + "build:\n  profiles:\n  - nochek\n"),
            ".cb/cloud_builder.yml:6",
            'unknown build profile "nochek"',
            "Did you mean nocheck?",
        ),
        (write(".cb/cloud_builder.yml", "- x"), ".cb/cloud_builder.yml:1", "keys and values", ""),
        (
            write(".cb/cloud_builder.yml", MANIFEST.format("bad") + "depends:\n  - packages/helo\n"),
            ".cb/cloud_builder.yml:5",
            'depends on "packages/helo"',
            "Did you mean packages/hello?",
        ),
        (
            write(".cb/cloud_builder.yml", MANIFEST.format("bad") + "depends: [packages/bad]\n"),
            ".cb/cloud_builder.yml:4",
            "depends on itself",
            "",
        ),
    ],
)
def test_problem_is_reported_and_the_healthy_unit_found(
    discover: Discover, damage: Callable[[Path], object], location: str, message: str, hint: str, *, root: Path
) -> None:
    damage(unit(root, "projects/packages/bad"))
    found = discover()
    assert [unit.path for unit in found.readable] == ["packages/hello"]
    (problem,) = found.all_problems
    assert problem.path == "packages/bad"
    assert f"{problem.file}:{problem.line}" == f"projects/packages/bad/{location}".replace("/:", ":")
    assert message in problem.message
    assert hint in problem.hint


def test_depends_may_name_a_known_unit(root: Path, discover: Discover) -> None:
    unit(root, "projects/packages/tool", MANIFEST + "depends: [packages/hello]\n")
    assert discover().units[1].depends == ("packages/hello",)


def test_build_profiles_may_be_of_a_package_or_named_by_a_relation(root: Path, discover: Discover) -> None:
    build = "build: {profiles: [stage1, own, pkg.tool.noverity], options: [noopt]}\n"
    directory = unit(root, "projects/packages/tool", MANIFEST + build.replace("{", "{{").replace("}", "}}"))
    control = CONTROL.format("tool").replace("helper\n", "helper, a <!own> <!nocheck>\n")
    (directory / "debian/control").write_text(control)
    found = discover()
    assert found.problems == ()
    assert found.units[1].profiles == ("own", "pkg.tool.noverity", "stage1")
    assert found.units[1].build_options == ("noopt",)


def test_constraints_are_read_from_the_manifest(root: Path, discover: Discover) -> None:
    unit(root, "projects/packages/tool", MANIFEST + "constraints:\n  memory: 2G\n  tags: [fast, big]\n")
    assert [unit.constraints for unit in discover().units] == [
        Capacity(),
        Capacity(memory=2 * 1024**3, tags=("big", "fast")),
    ]


def test_second_directory_of_a_unit_path_is_a_problem(root: Path, discover: Discover) -> None:
    unit(root, "packages/hello")
    found = discover()
    assert [unit.directory for unit in found.units] == ["packages/hello"]
    assert [problem.message for problem in found.problems] == ["the unit path is taken"]


@pytest.mark.parametrize("name", [b"caf\xe9", b"with space", b"new\nline"])
def test_path_with_invalid_characters_is_a_problem(root: Path, discover: Discover, name: bytes) -> None:
    unit(root, "projects/other").rename(root / "projects" / os.fsdecode(name))
    found = discover()
    assert [unit.path for unit in found.units] == ["packages/hello"]
    (problem,) = found.problems
    assert problem.model_dump_json()
    assert "characters" in problem.message


def test_build_root_may_be_shared_by_a_link(root: Path, discover: Discover) -> None:
    (root / "projects/shared.kiwi").write_text(KIWI)
    link(".cb/build_root.kiwi", "../../../shared.kiwi")(root / "projects/packages/hello")
    found = discover()
    assert found.all_problems == ()
    assert found.units[0].buildroot is not None


def test_directory_of_one_unit_can_be_checked(root: Path) -> None:
    units, problems = check_tree(root / "projects/packages/hello", [DebMetadata()])
    assert [(unit.path, unit.name) for unit in units] == [(".", "hello")]
    assert problems == ()
