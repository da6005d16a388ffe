"""The contract of ports.source: git, and in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Protocol

import pytest

from cloud_builder.adapters.git import GitMirror
from cloud_builder.adapters.memory.source import MemorySource
from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.ports.source import NO_COMMITS, SourceMirror

DEMO = SourceName("demo")
FILES = {
    "README": b"hello\n",
    "projects/packages/hello/.cb/cloud_builder.yml": b"name: hello\n",
    "projects/packages/hello/hello.sh": b"echo hello\n",
    "projects/packages/tool/.cb/cloud_builder.yml": b"name: tool\n",
}
HELLO = "projects/packages/hello"


class Repository(Protocol):
    """Changes of the mirrored repository, as its authors make them."""

    url: str

    def commit(self, files: dict[str, bytes], branch: str = "main", onto: Revision | None = None) -> Revision: ...

    def tag(self, name: str, revision: Revision) -> None: ...

    def delete_branch(self, branch: str) -> None: ...


class RealRepository:
    """A bare repository, written by git's plumbing."""

    def __init__(self, path: Path, object_format: str = "sha1") -> None:
        self.url = str(path)
        options = ("--bare", "-b", "main", f"--object-format={object_format}")
        subprocess.run(["git", "init", "-q", *options, path], check=True)

    def git(self, *arguments: str, stdin: bytes = b"", index: str = "") -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        env = {"PATH": "/usr/bin:/bin", "GIT_DIR": self.url, **({"GIT_INDEX_FILE": index} if index else {})}
        done = subprocess.run(["git", *who, *arguments], input=stdin, env=env, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, bytes], branch: str = "main", onto: Revision | None = None) -> Revision:
        index = f"{self.url}/test-index"
        Path(index).unlink(missing_ok=True)
        for path, content in files.items():
            blob = self.git("hash-object", "-w", "--stdin", stdin=content)
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", index=index)
        tree = self.git("write-tree", index=index)
        parent = onto or self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        parents = ("-p", parent) if parent else ()
        revision = self.git("commit-tree", tree, *parents, stdin=b"change")
        self.git("update-ref", f"refs/heads/{branch}", revision)
        return Revision(revision)

    def tag(self, name: str, revision: Revision) -> None:
        self.git("tag", "-a", "-m", "a tag object", name, revision)

    def delete_branch(self, branch: str) -> None:
        self.git("branch", "-D", branch)


class RememberedRepository:
    """The same in memory."""

    url = "memory:demo"

    def __init__(self, source: MemorySource) -> None:
        self.repository = source.repository(self.url)

    def commit(self, files: dict[str, bytes], branch: str = "main", onto: Revision | None = None) -> Revision:
        return self.repository.commit(files, branch, onto=onto)

    def tag(self, name: str, revision: Revision) -> None:
        self.repository.tags[name] = revision

    def delete_branch(self, branch: str) -> None:
        del self.repository.branches[branch]


World = tuple[SourceMirror, Repository]


@pytest.fixture(params=["git", "git with sha256", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        memory = MemorySource()
        yield memory, RememberedRepository(memory)
        return
    mirror = GitMirror(tmp_path / "cache")
    yield mirror, RealRepository(tmp_path / "origin.git", "sha256" if "sha256" in request.param else "sha1")
    mirror.close()


def test_names_resolve_to_the_commit(world: World) -> None:
    mirror, repository = world
    first = repository.commit(FILES)
    repository.tag("v1", first)
    second = repository.commit(FILES | {"README": b"more\n"})
    mirror.refresh(DEMO, repository.url)
    assert mirror.default_branch(DEMO, repository.url) == "main"
    assert mirror.resolve(DEMO, "main") == second
    assert mirror.resolve(DEMO, "v1") == first
    assert mirror.resolve(DEMO, first) == first
    assert mirror.resolve(DEMO, second[:10]) == second


@pytest.mark.parametrize("ref", ["mian", "v2", "0" * 40, "--help", "main^{tree}", "main..main", "", "a b", "\udcff"])
def test_unknown_ref_is_rejected(world: World, ref: str) -> None:
    mirror, repository = world
    repository.tag("v1", repository.commit(FILES))
    mirror.refresh(DEMO, repository.url)
    with pytest.raises(Rejected) as caught:
        mirror.resolve(DEMO, ref)
    assert caught.value.code == "unknown-ref"
    if ref == "mian":
        assert caught.value.hint == "Did you mean main?"


def test_reading_objects(world: World) -> None:
    mirror, repository = world
    revision = repository.commit(FILES)
    mirror.refresh(DEMO, repository.url)
    found = mirror.find_files(DEMO, revision, ".cb/cloud_builder.yml")
    assert found == [f"{HELLO}/.cb/cloud_builder.yml", "projects/packages/tool/.cb/cloud_builder.yml"]
    assert {e.name: e.is_directory for e in mirror.entries(DEMO, revision, HELLO)} == {".cb": True, "hello.sh": False}
    assert {e.name for e in mirror.entries(DEMO, revision, "")} == {"README", "projects"}
    assert mirror.read(DEMO, revision, f"{HELLO}/hello.sh", 100) == b"echo hello\n"
    for code, call in (
        ("too-large", lambda: mirror.read(DEMO, revision, "README", 5)),
        ("unknown-path", lambda: mirror.read(DEMO, revision, "READM", 5)),
        ("unknown-path", lambda: mirror.tree_id(DEMO, revision, "projects/packages/helo")),
        ("unknown-path", lambda: mirror.entries(DEMO, revision, "nowhere")),
        ("unknown-ref", lambda: mirror.find_files(DEMO, Revision("0" * 40), "x")),
    ):
        with pytest.raises(Rejected) as caught:
            call()
        assert caught.value.code == code


def test_tree_id_changes_with_the_directory_and_with_nothing_else(world: World) -> None:
    mirror, repository = world
    first = repository.commit(FILES)
    second = repository.commit(FILES | {"README": b"more\n"})
    third = repository.commit(FILES | {f"{HELLO}/hello.sh": b"echo more\n"})
    mirror.refresh(DEMO, repository.url)
    ids = [mirror.tree_id(DEMO, revision, HELLO) for revision in (first, second, third)]
    assert ids[0] == ids[1] != ids[2]


def test_newer_commits_are_those_that_a_commit_does_not_contain(world: World) -> None:
    mirror, repository = world
    first = repository.commit(FILES)
    second = repository.commit(FILES | {"README": b"2"})
    third = repository.commit(FILES | {"README": b"3"})
    mirror.refresh(DEMO, repository.url)
    assert mirror.newer_commits(DEMO, "main", first, 9) == [third, second]
    assert len(mirror.newer_commits(DEMO, "main", first, 1)) == 1
    assert mirror.newer_commits(DEMO, "main", third, 9) == []
    forced = repository.commit(FILES | {"README": b"4"}, onto=first)
    mirror.refresh(DEMO, repository.url)
    assert mirror.newer_commits(DEMO, "main", second, 9) == [forced]


def test_refresh_follows_pushes_forced_pushes_and_deleted_branches(world: World) -> None:
    mirror, repository = world
    first = repository.commit(FILES)
    repository.commit(FILES, "next")
    mirror.refresh(DEMO, repository.url)
    second = repository.commit(FILES | {"README": b"2"})
    mirror.refresh(DEMO, repository.url)
    assert mirror.resolve(DEMO, "main") == second
    assert mirror.contains(DEMO, "main", first)
    forced = repository.commit(FILES | {"README": b"3"}, onto=first)
    repository.delete_branch("next")
    mirror.refresh(DEMO, repository.url)
    assert mirror.resolve(DEMO, "main") == forced
    assert not mirror.contains(DEMO, "main", second)
    assert not mirror.contains(DEMO, "gone", second)
    assert mirror.read(DEMO, second, "README", 9) == b"2"
    with pytest.raises(Rejected):
        mirror.resolve(DEMO, "next")


def test_branch_may_replace_a_directory_of_branches(world: World) -> None:
    mirror, repository = world
    repository.commit(FILES, "a/b")
    mirror.refresh(DEMO, repository.url)
    repository.delete_branch("a/b")
    revision = repository.commit(FILES, "a")
    mirror.refresh(DEMO, repository.url)
    assert mirror.resolve(DEMO, "a") == revision


def test_export_fetches_a_missing_commit(world: World, tmp_path: Path) -> None:
    mirror, repository = world
    repository.commit(FILES)
    mirror.refresh(DEMO, repository.url)
    revision = repository.commit(FILES | {f"{HELLO}/new": b"new"})
    mirror.export(DEMO, repository.url, revision, HELLO, tmp_path / "a" / "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "a" / "out").iterdir() if p.is_file()} == {
        "hello.sh": b"echo hello\n",
        "new": b"new",
    }
    assert len({int(p.stat().st_mtime) for p in (tmp_path / "a" / "out").rglob("*") if p.is_file()}) == 1


def test_canceled_export_is_retryable_and_the_next_one_is_complete(world: World, tmp_path: Path) -> None:
    mirror, repository = world
    revision = repository.commit(FILES)
    mirror.refresh(DEMO, repository.url)
    cancel = Event()
    cancel.set()
    with pytest.raises(Retryable) as caught:
        mirror.export(DEMO, repository.url, revision, HELLO, tmp_path / "a", cancel=cancel)
    assert caught.value.code == "canceled"
    mirror.export(DEMO, repository.url, revision, HELLO, tmp_path / "b", cancel=Event())
    assert (tmp_path / "b" / "hello.sh").read_bytes() == b"echo hello\n"


def test_unreachable_source_is_retryable(world: World) -> None:
    mirror, _ = world
    for call in (lambda: mirror.refresh(DEMO, "/no/such/repository"), lambda: mirror.resolve(DEMO, "main")):
        with pytest.raises(Retryable) as caught:
            call()
        assert caught.value.code == "source-unreachable"


def test_empty_repository_is_rejected(world: World) -> None:
    mirror, repository = world
    mirror.refresh(DEMO, repository.url)
    with pytest.raises(Rejected) as caught:
        mirror.default_branch(DEMO, repository.url)
    assert (caught.value.code, "no commits yet" in caught.value.message) == (NO_COMMITS, True)


def test_changed_files_differ_in_content_or_mode(world: World) -> None:
    mirror, repository = world
    first = repository.commit(FILES | {"gone": b"1"})
    second = repository.commit({**FILES, "README": b"more\n", f"{HELLO}/new": b"1"})
    mirror.refresh(DEMO, repository.url)
    assert mirror.changed_files(DEMO, first, second) == ["README", "gone", f"{HELLO}/new"]
    assert mirror.changed_files(DEMO, second, first) == ["README", "gone", f"{HELLO}/new"]
    assert mirror.changed_files(DEMO, second, second) == []
    for revisions in ((first, "0" * 40), ("0" * 40, first), ("--output=x", first)):
        with pytest.raises(Rejected) as caught:
            mirror.changed_files(DEMO, *map(Revision, revisions))
        assert caught.value.code == "unknown-ref"


def test_an_ancestor_is_named_by_steps_back(world: World) -> None:
    mirror, repository = world
    commits = [repository.commit({"README": str(number).encode()}) for number in range(4)]
    repository.tag("v1", commits[1])
    mirror.refresh(DEMO, repository.url)
    names = ("main~1", "main~", "main^", "main~2", "main^^", "main~1^", "v1~1", f"{commits[3][:12]}~3", "main~0")
    assert [commits.index(mirror.resolve(DEMO, name)) for name in names] == [2, 2, 2, 1, 1, 1, 0, 0, 3]
    for name in ("main~4", "nothing~1", "~1", "main~x", "main^2"):
        with pytest.raises(Rejected) as caught:
            mirror.resolve(DEMO, name)
        assert caught.value.code == "unknown-ref"


def test_history_has_the_commits_that_changed_a_directory(world: World) -> None:
    mirror, repository = world
    files = [FILES, FILES | {"README": b"2"}, FILES | {f"{HELLO}/new": b"3"}, {**FILES, f"{HELLO}/new": b"4"}]
    commits = [repository.commit(content) for content in files]
    mirror.refresh(DEMO, repository.url)
    history = [commits.index(one) for one in mirror.history(DEMO, commits[3], [HELLO, "projects/[a]*"], 9)]
    assert history == [3, 2, 0]
    assert mirror.history(DEMO, commits[3], [HELLO], 1) == [commits[3]]
    assert len(mirror.history(DEMO, commits[1], [""], 9)) == 2
    with pytest.raises(Rejected) as caught:
        mirror.history(DEMO, Revision("0" * 40), [HELLO], 9)
    assert caught.value.code == "unknown-ref"
