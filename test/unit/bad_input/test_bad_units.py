"""Broken units in a repository: each is a problem with the name of its unit, and the other units are still found."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.deb.repository_state import OfflineStates
from cloud_builder.adapters.deb.source import read_source
from cloud_builder.adapters.git import GitMirror
from cloud_builder.errors import Permanent, Rejected
from cloud_builder.flow.request.discover import DiscoveredUnits, UnitDiscovery
from cloud_builder.flow.request.replies import accepted_event
from cloud_builder.flow.request.resolution import ResolvedCommit
from cloud_builder.flow.request.tree import CommitTree
from cloud_builder.model.events import BuildRequested, SourceRevised
from cloud_builder.model.ids import SourceName
from cloud_builder.model.manifest import ManifestError, parse
from cloud_builder.model.outcome import Kind
from cloud_builder.model.unit import Target, Unit
from support.factories import changelog

DEMO = SourceName("demo")
KIWI = '<image><profiles><profile name="sid.x86_64"/></profiles></image>'
MANIFEST = "schema_version: 1.0\nname: {}\ndistributions: [{{dist: sid, arch: x86_64}}]\n"
CONTROL = "Source: {0}\nBuild-Depends: debhelper\n\nPackage: {0}\nArchitecture: any\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 123456\n"


def git(at: Path, *words: str, stdin: bytes = b"") -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    return subprocess.run(command, cwd=at, input=stdin, check=True, capture_output=True).stdout.decode().strip()


def unit(root: Path, name: str) -> Path:
    directory = root / "projects/packages" / name
    (directory / ".cb").mkdir(parents=True)
    (directory / "debian").mkdir()
    (directory / ".cb/cloud_builder.yml").write_text(MANIFEST.format(name))
    (directory / ".cb/build_root.kiwi").write_text(KIWI)
    (directory / "debian/control").write_text(CONTROL.format(name))
    (directory / "debian/changelog").write_text(changelog(name))
    return directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    unit(root, "good")
    unit(root, "bad")
    git(root, "init", "-q", "-b", "main")
    return root


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[GitMirror]:
    mirror = GitMirror(tmp_path / "cache")
    yield mirror
    mirror.close()


def discovered(root: Path, mirror: GitMirror, ref: str = "main") -> DiscoveredUnits:
    mirror.refresh(DEMO, str(root))
    tree = CommitTree(mirror, DEMO, mirror.resolve(DEMO, ref))
    return UnitDiscovery([DebMetadata()], OfflineStates(), 1 << 20).discover(tree)


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")


def write(name: str, content: str | bytes):
    def change(bad: Path) -> None:
        (bad / name).unlink(missing_ok=True)
        (bad / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def link(name: str, to: str):
    def change(bad: Path) -> None:
        (bad / name).unlink(missing_ok=True)
        (bad / name).symlink_to(to)

    return change


def undecodable_dsc(bad: Path) -> None:
    Path(os.fsdecode(os.fsencode(bad) + b"/caf\xe9.dsc")).write_text("no field\n")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
RELATED = "Source: bad\nBuild-Depends: {}\n\nPackage: bad\nArchitecture: any\n"

BAD = {
    "a manifest of 10 MB": (write(".cb/cloud_builder.yml", "#" * 10_000_000), "10000000 bytes, 1048576 are allowed"),
    "a manifest that is no text": (write(".cb/cloud_builder.yml", b"\xff\xfe\x00"), "not UTF-8"),
    "aliases that expand exponentially": (write(".cb/cloud_builder.yml", BOMB), "aliases that expand to too much"),
    "a manifest of 10,000 levels": (write(".cb/cloud_builder.yml", "[" * 10_000), "more than 20 levels"),
    "a tag that makes objects": (write(".cb/cloud_builder.yml", "a: !!python/object:os.system {}"), "is not allowed"),
    "a manifest with a null byte": (
        write(".cb/cloud_builder.yml", "name: a\0b\n"),
        "a character that YAML does not allow",
    ),
    "a manifest in LFS": (write(".cb/cloud_builder.yml", POINTER), "cloud_builder.yml is a Git LFS pointer"),
    "a manifest linked outside": (
        link(".cb/cloud_builder.yml", "/etc/passwd"),
        "is a link to /etc/passwd, which is no file",
    ),
    "a build root linked outside": (
        link(".cb/build_root.kiwi", "../../../../../x"),
        "is a link to ../../../../../x, which",
    ),
    "a control file linked outside": (
        link("debian/control", "/etc/passwd"),
        "is a link to /etc/passwd, which is no file",
    ),
    "a control file in LFS": (write("debian/control", POINTER), "control is a Git LFS pointer, not the file itself"),
    "a control file of 20 MB": (write("debian/control", b"x" * 20_000_000), "20000000 bytes, 16777216 are allowed"),
    "a control file of one line of 10 MB": (write("debian/control", b"x " * 5_000_000), "not a field"),
    "a dsc in LFS": (write("bad_1.dsc", POINTER), "bad_1.dsc is a Git LFS pointer, not the file itself"),
    "a file name that is not UTF-8": (undecodable_dsc, "caf\\udce9.dsc:1: not a field"),
    "invalid build dependency": (write("debian/control", RELATED.format("((a || [[")), '"((a" is not a package'),
    "build dependency with an empty architecture list": (
        write("debian/control", RELATED.format("a [ ]")),
        '"a [ ]" is not a package',
    ),
    "a dsc with a broken package list": (
        write(
            "bad_1.dsc", f"Source: bad\nVersion: 1\nChecksums-Sha256:\n {'0' * 64} 1 debian\nPackage-List: bad deb\n"
        ),
        "Package-List is not a list",
    ),
    "build dependency with a null byte": (write("debian/control", RELATED.format("a\0b")), "is not a package"),
    "build dependency with an escape sequence": (
        write("debian/control", RELATED.format("a\x1b[31m")),
        "is not a package",
    ),
    "build dependencies of 180,000 characters": (
        write("debian/control", RELATED.format("a, " * 60_000)),
        "of more than 100000 char",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_unit_is_a_named_problem_and_other_units_are_found(root, mirror, change, message):
    change(root / "projects/packages/bad")
    commit(root)
    started = time.thread_time()
    found = discovered(root, mirror)
    assert time.thread_time() - started < 10, "CPU seconds of this thread; other programs do not count"

    assert [found_unit.path for found_unit in found.readable] == ["packages/good"]
    problems = found.all_problems
    assert message in "\n".join(map(str, problems))
    assert all(problem.path == "packages/bad" and problem.message.isprintable() for problem in problems)
    broken = tuple(found_unit for found_unit in found.units if found_unit.problems)
    event = SourceRevised(
        source=DEMO, url="u", branch="main", revision="0" * 40, followed=True, units=broken, problems=found.problems
    )
    assert len(event.model_dump_json()) < 20_000


def test_path_with_dot_dot_is_a_problem_and_no_unit(root, mirror):
    commit(root)
    tree = git(root, "rev-parse", "HEAD:projects/packages/good")
    entry = b"40000 ..\0" + bytes.fromhex(tree)
    hostile = git(root, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=entry)
    git(root, "update-ref", "refs/heads/hostile", git(root, "commit-tree", hostile, "-m", "x"))
    found = discovered(root, mirror, "hostile")
    assert not found.units
    assert "parts or characters" in found.problems[0].message


def test_mirror_resolves_tags_and_rejects_deleted_branches_and_commits(root, mirror, tmp_path):
    commit(root)
    first = git(root, "rev-parse", "HEAD")
    git(root, "tag", "-a", "v1", "-m", "a tag object")
    git(root, "branch", "short-lived")
    git(root, "commit", "-q", "--allow-empty", "-m", "to be removed")
    removed = git(root, "rev-parse", "HEAD")
    mirror.refresh(DEMO, str(root))
    assert mirror.resolve(DEMO, "v1") == first

    git(root, "branch", "-D", "short-lived")
    git(root, "reset", "-q", "--hard", first)
    git(root, "reflog", "expire", "--expire=now", "--all")
    git(root, "gc", "--quiet", "--prune=now")
    mirror.refresh(DEMO, str(root))
    with pytest.raises(Rejected, match='no branch, tag or commit "short-lived"'):
        mirror.resolve(DEMO, "short-lived")
    fresh = GitMirror(tmp_path / "another")
    with pytest.raises(Rejected, match=f"no commit {removed}") as caught:
        fresh.export(DEMO, str(root), removed, "projects/packages/good", tmp_path / "out")
    fresh.close()
    assert "forced push" in caught.value.hint


@pytest.mark.parametrize(
    "ref", ["..", "-x", "--upload-pack=id", "a..b", "@{-1}", "\x1b[31m", "x" * 1000, "\0", "caf\udce9"]
)
def test_invalid_ref_is_rejected(root, mirror, ref):
    commit(root)
    mirror.refresh(DEMO, str(root))
    with pytest.raises(Rejected, match="no branch, tag or commit"):
        mirror.resolve(DEMO, ref)


def test_tarball_that_is_an_lfs_pointer_is_an_error_with_its_name(tmp_path):
    (tmp_path / "xx_1.orig.tar.gz").write_text(POINTER)
    files = f"Checksums-Sha256:\n {'0' * 64} 5 xx_1.orig.tar.gz\n"
    (tmp_path / "xx_1-1.dsc").write_text(f"Format: 3.0 (quilt)\nSource: xx\nVersion: 1-1\n{files}")
    with pytest.raises(Permanent, match=r"xx_1\.orig\.tar\.gz is a Git LFS pointer, not the file itself") as caught:
        read_source(tmp_path)
    assert "git lfs migrate export" in caught.value.hint


def test_request_with_ten_thousand_units_is_accepted_quickly():
    paths = [f"packages/u{number}" for number in range(10_000)]
    units = tuple(
        Unit(
            path=path, directory=f"projects/{path}", name=path, kind=Kind.PACKAGE, tree="t", targets=(Target(name="t"),)
        )
        for path in paths
    )
    resolved = ResolvedCommit("0" * 40, DiscoveredUnits(units, ()), "d", True)
    started = time.thread_time()
    request = BuildRequested(source=DEMO, units=(*paths, *paths), request_id="r")
    accepted = accepted_event(request, "r", resolved, branch="main", at=1.0)
    assert accepted.units == tuple(paths)
    assert time.thread_time() - started < 10, "CPU seconds of this thread; other programs do not count"


def test_manifest_error_has_a_limited_length():
    with pytest.raises(ManifestError) as caught:
        parse("\n".join(f"k{number}{'x' * 300}: 1" for number in range(1000)), ".cb/cloud_builder.yml")
    assert len(str(caught.value)) < 60_000
