"""git mirrors: unusual names, links, submodules, partial clones, killed fetches, malicious trees."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cloud_builder.adapters.git import GitMirror
from cloud_builder.adapters.git.command import unreachable, without_secrets
from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.ids import Revision, SourceName

DEMO = SourceName("demo")


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[GitMirror]:
    mirror = GitMirror(tmp_path / "cache")
    yield mirror
    mirror.close()


def git(at: Path, *arguments: str | bytes, stdin: bytes = b"") -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(at), "GIT_AUTHOR_DATE": "@1700000000 +0000"}
    env["GIT_COMMITTER_DATE"] = env["GIT_AUTHOR_DATE"]
    done = subprocess.run(["git", *who, *arguments], cwd=at, env=env, input=stdin, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with one unit, committed."""
    path = tmp_path / "origin"
    unit = path / "projects/packages/hello"
    (unit / ".cb").mkdir(parents=True)
    (unit / ".cb/cloud_builder.yml").write_text("name: hello\n")
    (unit / "run.sh").write_text("echo\n")
    (unit / "run.sh").chmod(0o755)
    git(path, "init", "-q")
    return commit(path) and path


def commit(path: Path) -> Revision:
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "change")
    return Revision(git(path, "rev-parse", "HEAD"))


UNIT = "projects/packages/hello"


def test_export_keeps_modes_links_and_the_commits_time(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    (tree / UNIT / "link").symlink_to("run.sh")
    (tree / UNIT / "away").symlink_to("/etc/passwd")
    (tree / ".gitattributes").write_text("run.sh export-ignore\n")
    revision = commit(tree)
    out = tmp_path / "out"
    mirror.export(DEMO, str(tree), revision, UNIT, out)
    assert stat.S_IMODE((out / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / ".cb/cloud_builder.yml").stat().st_mode) == 0o644
    assert [(out / name).readlink() for name in ("link", "away")] == [Path("run.sh"), Path("/etc/passwd")]
    assert {int(p.lstat().st_mtime) for p in (out, *out.rglob("*"))} == {1700000000}


def test_shared_build_root_is_read_and_exported_through_its_link(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    (tree / "shared.kiwi").write_text("<image/>")
    (tree / UNIT / ".cb/build_root.kiwi").symlink_to("../../../../shared.kiwi")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    assert mirror.read(DEMO, revision, f"{UNIT}/.cb/build_root.kiwi", 100) == b"<image/>"
    mirror.export(DEMO, str(tree), revision, UNIT, tmp_path / "out")
    assert not (tmp_path / "out/.cb/build_root.kiwi").is_symlink()
    assert (tmp_path / "out/.cb/build_root.kiwi").read_text() == "<image/>"


@pytest.mark.parametrize("to", ["/etc/passwd", "../../../../../etc/passwd", "loop", "nowhere", ".."])
def test_link_that_leads_nowhere_in_the_commit_is_no_file(mirror: GitMirror, tree: Path, to: str) -> None:
    (tree / UNIT / "loop").symlink_to(to)
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    with pytest.raises(Rejected) as caught:
        mirror.read(DEMO, revision, f"{UNIT}/loop", 100)
    assert caught.value.code == "broken-link"


def test_names_that_are_not_utf8_are_read_and_exported(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    name = os.fsencode(tree / UNIT) + b"/caf\xe9"
    Path(os.fsdecode(name)).write_text("x")
    revision = commit(tree)
    mirror.export(DEMO, str(tree), revision, UNIT, tmp_path / "out")
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9")).exists()
    found = mirror.find_files(DEMO, revision, "\udce9")
    assert mirror.read(DEMO, revision, found[0], 10) == b"x"


def test_submodule_is_refused_by_name(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    head = git(tree, "rev-parse", "HEAD")
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{head},{UNIT}/sub")
    git(tree, "commit", "-q", "-m", "submodule")
    revision = Revision(git(tree, "rev-parse", "HEAD"))
    with pytest.raises(Rejected, match=f"sub is a git submodule .at {head[:10]}.: its files are in another") as caught:
        mirror.export(DEMO, str(tree), revision, UNIT, tmp_path / "out")
    assert caught.value.code == "submodule"
    assert mirror.find_files(DEMO, revision, "/sub") == []


@pytest.mark.parametrize("name", [b"..", b".git", b"."])
def test_unsafe_path_names_are_refused(mirror: GitMirror, tree: Path, tmp_path: Path, name: bytes) -> None:
    blob = git(tree, "hash-object", "-w", "--stdin", stdin=b"x")
    entry = b"100644 " + name + b"\0" + bytes.fromhex(blob)
    hostile = git(tree, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=entry)
    revision = Revision(git(tree, "commit-tree", hostile, "-m", "hostile"))
    git(tree, "update-ref", "refs/heads/hostile", revision)
    with pytest.raises(Rejected) as caught:
        mirror.export(DEMO, str(tree), revision, "", tmp_path / "a/b")
    assert caught.value.code == "unsafe-path"


def test_nothing_is_written_through_a_link(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    blob = git(tree, "hash-object", "-w", "--stdin", stdin=str(tmp_path).encode())
    inner = git(tree, "hash-object", "-t", "tree", "-w", "--stdin", stdin=b"100644 f\0" + bytes.fromhex(blob))
    twice = b"120000 a\0" + bytes.fromhex(blob) + b"40000 a\0" + bytes.fromhex(inner)
    hostile = git(tree, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=twice)
    revision = Revision(git(tree, "commit-tree", hostile, "-m", "hostile"))
    git(tree, "update-ref", "refs/heads/hostile", revision)
    with pytest.raises(Rejected):
        mirror.export(DEMO, str(tree), revision, "", tmp_path / "out")
    assert not (tmp_path / "f").exists()


def test_commit_removed_by_a_forced_push_can_still_be_exported(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    mirror.refresh(DEMO, str(tree))
    (tree / UNIT / "new").write_text("x")
    lost = commit(tree)
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    mirror.export(DEMO, str(tree), lost, UNIT, tmp_path / "out")
    assert (tmp_path / "out/new").exists()
    with pytest.raises(Rejected) as caught:
        mirror.export(DEMO, str(tree), Revision("0" * 40), UNIT, tmp_path / "out2")
    assert "Request the build again" in caught.value.hint


def test_partial_mirror_gets_large_files_only_when_exported(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    git(tree, "config", "uploadpack.allowFilter", "true")
    git(tree, "config", "uploadpack.allowAnySHA1InWant", "true")
    for name in ("one", "two"):
        (tree / UNIT / name).write_bytes(os.urandom(3 << 20))
    revision = commit(tree)
    url = f"file://{tree}"
    mirror.refresh(DEMO, url)

    def size() -> int:
        return sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file())

    assert size() < 1 << 20
    assert mirror.read(DEMO, revision, f"{UNIT}/.cb/cloud_builder.yml", 100) == b"name: hello\n"
    mirror.export(DEMO, url, revision, UNIT, tmp_path / "out")
    assert (tmp_path / "out/one").read_bytes() == (tree / UNIT / "one").read_bytes()
    assert size() > 6 << 20


def test_server_that_cannot_leave_files_out_is_mirrored_whole(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    url = f"file://{tree}"
    mirror.refresh(DEMO, url)
    mirror.export(DEMO, url, mirror.resolve(DEMO, "main"), UNIT, tmp_path / "out")
    assert "partialclonefilter" not in (tmp_path / "cache" / f"{DEMO}.git" / "config").read_text()


def test_plain_web_server_is_mirrored_whole(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(tree), "served.git")
    git(tmp_path / "served.git", "update-server-info")
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/served.git"
            mirror.refresh(DEMO, url)
            mirror.export(DEMO, url, mirror.resolve(DEMO, "main"), UNIT, tmp_path / "out")
        finally:
            server.shutdown()
            thread.join()
    assert (tmp_path / "out/run.sh").read_text() == "echo\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_mirror_of_a_killed_fetch_is_repaired(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    mirror.refresh(DEMO, str(tree))
    made = tmp_path / "cache" / f"{DEMO}.git"
    (made / "packed-refs.lock").touch()
    (made / "refs/heads/main.lock").touch()
    (tree / "more").write_text("x")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    assert mirror.resolve(DEMO, "main") == revision
    assert mirror.read(DEMO, revision, "more", 9) == b"x"


def test_read_starts_git_again_when_it_was_killed(mirror: GitMirror, tree: Path) -> None:
    (tree / "file").write_text("content")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    assert mirror.read(DEMO, revision, "file", 100) == b"content"
    for process in _git_children():
        os.kill(process, signal.SIGKILL)
    assert mirror.read(DEMO, revision, "file", 100) == b"content"


def _git_children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    found = [int(child) for task in tasks for child in task.read_text().split()]
    git = [child for child in found if b"cat-file" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert git
    return git


def test_parallel_exports_of_one_mirror_all_succeed(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    revision = Revision(git(tree, "rev-parse", "HEAD"))
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            mirror.export(DEMO, str(tree), revision, UNIT, tmp_path / f"out{number}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(list(tmp_path.glob("out*/run.sh"))) == 6


def test_mirror_follows_a_changed_url_of_its_source(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    mirror.refresh(DEMO, str(tree))
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(tree), "other")
    (other / "more").write_text("x")
    revision = commit(other)
    mirror.refresh(DEMO, str(other))
    assert mirror.resolve(DEMO, "main") == revision


def test_directory_that_is_no_repository_has_a_next_step(mirror: GitMirror, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(Retryable) as caught:
        mirror.refresh(DEMO, str(tmp_path / "plain"))
    assert "git init" in caught.value.hint
    assert str(tmp_path / "plain") in caught.value.message


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("fatal: detected dubious ownership in repository at '/r/.git'", "safe.directory /r/.git"),
        ("git@host: Permission denied (publickey).", "ssh key"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", "credential helper"),
        ("fatal: unable to access: Could not resolve host: h", "network"),
        ("something new", "git ls-remote https://host/r"),
    ],
)
def test_git_error_has_a_next_step_and_no_secret(message: str, hint: str) -> None:
    error = unreachable("https://me:secret@host/r", f"{message} https://me:secret@host/r")
    assert hint in error.hint
    assert "secret" not in str(error)
    assert without_secrets("ssh://git@host/r") == "ssh://host/r"


class SetAfter(threading.Event):
    """An event that counts as set after `times` calls of `is_set`."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_canceled_export_stops_within_a_large_file_and_keeps_the_mirror(
    mirror: GitMirror, tree: Path, tmp_path: Path
) -> None:
    (tree / UNIT / "large").write_bytes(os.urandom(1 << 20) * 24)
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    mirror.export(DEMO, str(tree), revision, UNIT, tmp_path / "whole")
    times = 0
    while True:
        times += 1
        out = tmp_path / f"out{times}"
        try:
            mirror.export(DEMO, str(tree), revision, UNIT, out, cancel=SetAfter(times))
        except Retryable as error:
            assert error.code == "canceled"
        else:
            break
        if (out / "large").exists() and 0 < (out / "large").stat().st_size < 24 << 20:
            assert mirror.read(DEMO, revision, f"{UNIT}/run.sh", 100) == b"echo\n"
            return
    pytest.fail("no export was canceled within the large file")


def test_shallow_clone_is_mirrored_and_deepened_with_it(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    (tree / "README").write_text("2")
    second = commit(tree)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tree}", str(clone))
    mirror.refresh(DEMO, str(clone))
    assert mirror.resolve(DEMO, mirror.default_branch(DEMO, str(clone))) == second
    assert mirror.contains(DEMO, "main", second)
    mirror.export(DEMO, str(clone), second, UNIT, tmp_path / "out")
    with pytest.raises(Rejected) as caught:
        mirror.resolve(DEMO, "main~1")
    assert "shallow clone" in caught.value.hint and "--unshallow" in caught.value.hint

    (tree / "README").write_text("3")
    third = commit(tree)
    git(clone, "fetch", "-q", "--depth", "1", "origin", "main")
    git(clone, "reset", "-q", "--hard", "FETCH_HEAD")
    mirror.refresh(DEMO, str(clone))
    assert mirror.resolve(DEMO, "main") == third
    assert mirror.changed_files(DEMO, second, third) == ["README"]

    git(clone, "fetch", "-q", "--unshallow", "origin")
    (tree / "README").write_text("4")
    fourth = commit(tree)
    git(clone, "pull", "-q", "--ff-only", "origin", "main")
    mirror.refresh(DEMO, str(clone))
    assert mirror.resolve(DEMO, "main") == fourth
    assert mirror.resolve(DEMO, "main~2") == second
    assert mirror.resolve(DEMO, "main~3")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_repository_that_is_made_again_with_sha256_is_mirrored(
    mirror: GitMirror, tree: Path, tmp_path: Path, scheme: str
) -> None:
    git(tree, "config", "uploadpack.allowFilter", "true")
    url = f"{scheme}{tree}"
    mirror.refresh(DEMO, url)
    assert mirror.read(DEMO, mirror.resolve(DEMO, "main"), f"{UNIT}/run.sh", 99) == b"echo\n"
    shutil.rmtree(tree / ".git")
    git(tree, "init", "-q", "--object-format=sha256")
    git(tree, "config", "uploadpack.allowFilter", "true")
    revision = commit(tree)
    mirror.refresh(DEMO, url)
    assert mirror.resolve(DEMO, "main") == revision and len(revision) == 64
    assert mirror.resolve(DEMO, revision[:50]) == revision
    assert mirror.read(DEMO, revision, f"{UNIT}/run.sh", 99) == b"echo\n"
    mirror.export(DEMO, url, revision, UNIT, tmp_path / "out")
    assert (tmp_path / "out/run.sh").read_text() == "echo\n"


def shared_rules(tree: Path) -> Path:
    """Lets two files and a directory of the unit be links to common ones; returns the common directory."""
    common = tree / "projects/common"
    (common / "debian").mkdir(parents=True)
    (common / "control").write_text("Source: hello\n")
    (common / "rules").write_text("#!/usr/bin/make -f\n")
    (common / "rules").chmod(0o755)
    (common / "debian/rules").symlink_to("../rules")
    (tree / UNIT / "control").symlink_to("../../common/control")
    (tree / UNIT / "debian").symlink_to("../../common/debian")
    (tree / UNIT / "again").symlink_to("control")
    return common


def test_links_to_other_files_of_the_commit_are_exported(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    shared_rules(tree)
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    mirror.check(DEMO, revision, UNIT)
    assert mirror.read(DEMO, revision, f"{UNIT}/debian/rules", 99) == b"#!/usr/bin/make -f\n"
    into = tmp_path / "out"
    mirror.export(DEMO, str(tree), revision, UNIT, into)
    assert sorted(path for path in into.rglob("*") if path.is_symlink()) == [into / "again"]
    assert (into / "control").read_text() == (into / "again").read_text() == "Source: hello\n"
    assert os.access(into / "debian/rules", os.X_OK)
    assert mirror.followed_links(DEMO, revision, UNIT) == {
        "control": "projects/common/control",
        "debian": "projects/common/debian",
        "debian/rules": "projects/common/rules",
    }


@pytest.mark.parametrize("changed", ["control", "rules", "debian/new"])
def test_tree_id_changes_with_the_files_that_links_lead_to(mirror: GitMirror, tree: Path, changed: str) -> None:
    common = shared_rules(tree)
    before = commit(tree)
    (common / "unrelated").write_text("x")
    same = commit(tree)
    (common / changed).write_text("new")
    after = commit(tree)
    mirror.refresh(DEMO, str(tree))
    first, second, third = (mirror.tree_id(DEMO, revision, UNIT) for revision in (before, same, after))
    assert first == second != third


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_large_file_behind_a_link_is_fetched(mirror: GitMirror, tree: Path, tmp_path: Path, scheme: str) -> None:
    git(tree, "config", "uploadpack.allowFilter", "true")
    git(tree, "config", "uploadpack.allowAnySHA1InWant", "true")
    (tree / "large").write_bytes(os.urandom(2 << 20))
    (tree / UNIT / "large").symlink_to("../../../large")
    revision = commit(tree)
    mirror.refresh(DEMO, f"{scheme}{tree}")
    mirror.export(DEMO, f"{scheme}{tree}", revision, UNIT, tmp_path / "out")
    assert (tmp_path / "out/large").read_bytes() == (tree / "large").read_bytes()


@pytest.mark.parametrize("to", ["..", "../../..", "../../packages", "loop/.."])
def test_link_to_a_directory_around_itself_is_refused(mirror: GitMirror, tree: Path, tmp_path: Path, to: str) -> None:
    (tree / UNIT / "loop").symlink_to(to if to != "loop/.." else "../hello")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    for call in (partial(mirror.check, DEMO), partial(mirror.export, DEMO, str(tree))):
        arguments = (revision, UNIT) if call.func == mirror.check else (revision, UNIT, tmp_path / "out")
        with pytest.raises(Rejected) as caught:
            call(*arguments)
        assert caught.value.code == "broken-link"
        assert caught.value.message.startswith("loop is a link to")


def test_links_that_bring_in_too_many_files_are_refused(mirror: GitMirror, tree: Path) -> None:
    for level in range(20):
        directory = tree / f"level{level}"
        directory.mkdir()
        for name in "ab":
            (directory / name).symlink_to(f"../level{level + 1}")
    (tree / "level20").mkdir()
    (tree / "level20/file").write_text("x")
    (tree / UNIT / "bomb").symlink_to("../../../level0")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    with pytest.raises(Rejected) as caught:
        mirror.check(DEMO, revision, UNIT)
    assert "lead to more than 20000 files" in caught.value.message


@pytest.fixture
def lfs_tree(tree: Path) -> Path:
    """The working tree with a tarball in Git LFS."""
    git(tree, "lfs", "install", "--local")
    (tree / UNIT / "x.orig.tar.gz").write_bytes(b"content" * 1000)
    git(tree, "lfs", "track", "*.tar.gz")
    commit(tree)
    assert git(tree, "cat-file", "blob", f"HEAD:{UNIT}/x.orig.tar.gz").startswith("version https://git-lfs")
    return tree


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files_in_lfs_are_fetched(
    mirror: GitMirror, lfs_tree: Path, tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_LFS_SKIP_SMUDGE", "1")
    url = f"{scheme}{lfs_tree}"
    mirror.refresh(DEMO, url)
    revision = mirror.resolve(DEMO, "main")
    mirror.check(DEMO, revision, UNIT)
    mirror.export(DEMO, url, revision, UNIT, tmp_path / "out")
    assert (tmp_path / "out/x.orig.tar.gz").read_bytes() == b"content" * 1000
    assert (tmp_path / "out/run.sh").read_text() == "echo\n"


def test_files_in_lfs_are_refused_by_name_without_git_lfs(
    mirror: GitMirror, lfs_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.refresh(DEMO, str(lfs_tree))
    revision = mirror.resolve(DEMO, "main")
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(only_git))
    for call in (
        lambda: mirror.check(DEMO, revision, UNIT),
        lambda: mirror.export(DEMO, str(lfs_tree), revision, UNIT, tmp_path / "out"),
    ):
        with pytest.raises(Rejected) as caught:
            call()
        assert caught.value.code == "lfs"
        assert caught.value.message.startswith(f"{UNIT}/x.orig.tar.gz is in Git LFS")
        assert "git-lfs" in caught.value.hint


def test_lost_file_in_lfs_is_retryable(mirror: GitMirror, lfs_tree: Path, tmp_path: Path) -> None:
    mirror.refresh(DEMO, str(lfs_tree))
    shutil.rmtree(lfs_tree / ".git/lfs")
    with pytest.raises(Retryable) as caught:
        mirror.export(DEMO, str(lfs_tree), mirror.resolve(DEMO, "main"), UNIT, tmp_path / "out")
    assert caught.value.code == "source-unreachable"
    assert "x.orig.tar.gz" in caught.value.message


def test_text_that_looks_like_a_pointer_is_no_file_in_lfs(mirror: GitMirror, tree: Path, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3\n"
    (tree / UNIT / "example").write_bytes(pointer)
    (tree / ".gitattributes").write_text("*.bin filter=lfs\n*.txt text eol=crlf ident export-subst export-ignore\n")
    (tree / UNIT / "a.txt").write_bytes(b"$Id$ $Format:%H$\n")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    mirror.check(DEMO, revision, UNIT)
    mirror.export(DEMO, str(tree), revision, UNIT, tmp_path / "out")
    assert (tmp_path / "out/example").read_bytes() == pointer
    assert (tmp_path / "out/a.txt").read_bytes() == b"$Id$ $Format:%H$\n", "attributes of git do not apply"


def test_link_to_a_directory_around_it_concerns_its_unit_alone(mirror: GitMirror, tree: Path) -> None:
    (tree / UNIT / "loop").symlink_to("..")
    revision = commit(tree)
    mirror.refresh(DEMO, str(tree))
    assert mirror.tree_id(DEMO, revision, UNIT)
    assert mirror.followed_links(DEMO, revision, UNIT) == {}
    with pytest.raises(Rejected):
        mirror.check(DEMO, revision, UNIT)


def test_branch_with_a_line_separator_in_its_name_is_mirrored(mirror: GitMirror, tree: Path) -> None:
    git(tree, "branch", "a\u2028b")
    for _ in range(2):
        mirror.refresh(DEMO, str(tree))
    assert mirror.resolve(DEMO, "a\u2028b") == git(tree, "rev-parse", "HEAD").strip()
