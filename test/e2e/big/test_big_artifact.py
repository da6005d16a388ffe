"""A package of gigabytes goes through build, upload, publication and download in pieces, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from e2e.big.big_sizes import FLAT, MB, disk_use, largest, largest_of

APT = """\
Dir "{path}";
Dir::State "{path}/state";
Dir::State::status "{path}/status";
Dir::Cache "{path}/cache";
Dir::Etc "{path}/etc";
Dir::Etc::sourcelist "{path}/demo.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "";
Acquire::Languages "none";
"""


@pytest.fixture(scope="module")
def built(long_lived):
    return long_lived.request("packages/heavy")


@pytest.fixture(scope="module")
def deb(built):
    [job] = built["jobs"]
    assert job["outcome"] == "success", job["message"]
    [found] = [artifact for artifact in job["artifacts"] if artifact["kind"] == "deb"]
    return found


def test_it_is_built_and_published_in_constant_memory(long_lived, built, deb, sizes):
    [job] = built["jobs"]
    assert deb["size"] > sizes.artifact
    used = largest_of(long_lived, "runner-1", "collector", "info", "scheduler")
    print(f"{deb['size'] / MB:.0f} MB: {job['timings']}; MB at most: {used}")
    assert max(used.values()) < FLAT


def test_cb_ctl_fetches_it_in_constant_memory(long_lived, built, deb, directory):
    command = [str(long_lived.account.programs / "cb-ctl"), "get", built["request"]["request_id"], "-o", "fetched"]
    fetching = subprocess.Popen(command, cwd=directory, env=long_lived.environment, stdout=subprocess.DEVNULL)
    used = 0.0
    while fetching.poll() is None:
        used = _largest_so_far(fetching.pid, used)
        time.sleep(0.02)
    assert fetching.returncode == 0
    assert _digest(directory / "fetched" / deb["name"]) == deb["sha256"]
    print(f"cb-ctl get: MB at most: {used:.0f}")
    assert 0 < used < FLAT


def _largest_so_far(pid: int, before: float) -> float:
    try:
        return max(before, largest(pid))
    except (OSError, IndexError):
        return before  # it has just ended


def test_apt_downloads_it(long_lived, deb, directory):
    [repository] = long_lived.rows("repositories")
    path = directory / "apt"
    for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
        (path / name).mkdir(parents=True)
    (path / "status").touch()
    sources = f"{repository['url']}/{repository['repository']}.sources"
    _run(path, "curl", "-fsS", "-o", "demo.sources", sources)
    (path / "apt.conf").write_text(APT.format(path=path))
    _run(path, "apt-get", "update", "--error-on=any")
    _run(path, "apt-get", "download", "heavy")
    [file] = path.glob("heavy*.deb")
    assert _digest(file) == deb["sha256"]


def _run(path: Path, *command: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "APT_CONFIG": str(path / "apt.conf"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_the_disk_holds_it_once(long_lived, built, deb):
    """In the object store; the repository is another name of the same file, the build's own copies are gone. The
    unpacked build root is kept for the next build."""
    work = long_lived.home / "runner-1" / "work"
    kept = {entry.name: round(disk_use(entry)) for entry in work.iterdir()}
    whole, size = disk_use(long_lived.home), deb["size"] / MB
    print(f"MB on disk: the runner's work {kept}, whole home {whole:.0f}")
    assert whole - sum(kept.values()) < 1.1 * size + 50
    assert sum(kept.values()) - kept.get("roots", 0) < size / 4


def test_another_package_is_built_with_it(long_lived, built):
    answer = long_lived.request("packages/lifter")
    outcomes = {job["unit"]: job["outcome"] for job in answer["jobs"]}
    assert outcomes == {"packages/heavy": "skipped", "packages/lifter": "success"}, answer
    [job] = [job for job in answer["jobs"] if job["unit"] == "packages/lifter"]
    print(f"built with it: {job['timings']}; MB at most: {largest_of(long_lived, 'runner-1', 'scheduler')}")
    assert max(largest_of(long_lived, "runner-1", "scheduler").values()) < FLAT
