"""Planning of Debian bookworm's whole source index as one source tree: from cold, and after one unit was changed.

The planner runs in a process of its own (`plan_debian.py`), so that its start, its memory and its CPU are its own. All
times are seconds of CPU: the work is one thread, and what else the machine does must not count. Beside it, on the same
index, dose-builddebcheck, which asks for each source whether its build dependencies can be installed, and botch, which
makes the build graph: the tools that Debian has for this."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from bench.figures import Figure, figure
from bench.processes import MB, Skipped, bench_cache, directory, need, python

SUITE = "http://deb.debian.org/debian/dists/bookworm/main"
INDICES = {
    "Sources": ("source", "92d11a035571df011f06f28c61cb9825130ef1d92abb2f2e0525e8674dc44af8"),
    "Packages": ("binary-amd64", "9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5"),
}
"""Of Debian 12.15: name → work, sha256 of the .xz, by which the mirror serves it as long as it keeps that release."""
RUNS = 3
PATIENCE = 300
"""Seconds of CPU after which a baseline is ended."""


def measure(progress: Callable[[str], None], scale: float) -> Iterator[Figure]:
    with directory("plan") as work:
        sources, packages = (_index(name, work) for name in INDICES)
        runs = [_planned(sources) for _ in range(max(1, round(RUNS * scale)))]
        progress(f"{runs[0]['sources']} sources, {runs[0]['edges']} edges, largest cycles {runs[0]['cycles']}")
        for change in runs[0]["changes"]:
            progress(
                f"one change: {change['unit']} ({change['dependants']} dependants) {1000 * change['seconds']:.1f} ms"
            )
        cold, memory = [run["cold"] for run in runs], [run["memory"] / MB for run in runs]
        one = [max(change["seconds"] for change in run["changes"]) for run in runs]
        for baseline, (seconds, most) in _baselines(progress, sources, packages).items():
            yield figure("plan.debian_cold", cold, "s", seconds, baseline)
            yield figure("plan.debian_memory", memory, "MB", most, baseline)
        yield figure("plan.debian_one_change", one, "s", cold, "from cold")


def _planned(sources: Path) -> dict[str, Any]:
    """Runs the planner once, and returns its own measurements."""
    script = str(Path(__file__).parent / "plan_debian.py")
    done = subprocess.run(python(script, str(sources)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-3000:])
    return dict(json.loads(done.stdout))


def _baselines(
    progress: Callable[[str], None], sources: Path, packages: Path
) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Returns (seconds, MB) of each baseline, by name; without those that cannot run here."""
    arch = "--deb-native-arch=amd64"
    commands = {
        "dose-builddebcheck": ("dose-builddebcheck", "--summary", arch, str(packages), str(sources)),
        "botch-create-graph": ("botch-create-graph", "--closuretype", arch, str(packages), str(sources)),
    }
    found: dict[str, tuple[Sequence[float], Sequence[float]]] = {}
    for name, words in commands.items():
        try:
            found[name] = _used(words)
        except Skipped as why:
            progress(f"{name}: left out: {why}")
            found[name] = ([], [])
    return found


def _used(words: Sequence[str]) -> tuple[Sequence[float], Sequence[float]]:
    """Runs a command to its end; returns its seconds of CPU and MB."""
    program = need(words[0], words[0].removesuffix("-create-graph"))
    bounded = [need("prlimit", "util-linux"), f"--cpu={PATIENCE}", program, *words[1:]]
    with subprocess.Popen(bounded, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Skipped(f"it had not ended after {PATIENCE} s of CPU")
    if process.returncode not in (0, 1):  # 1: some source cannot be built, which is true
        raise Skipped(f"it ended with {process.returncode}")
    return [seconds], [used.ru_maxrss * 1024 / MB]


def debian_index(work: Path) -> Path:
    """Returns the Sources index, for other parts of the benchmark."""
    return _index("Sources", work)


def _index(name: str, work: Path) -> Path:
    """Returns the unpacked index. Raises Skipped when the mirror no longer has it."""
    path = bench_cache() / "indices" / f"{name}.xz"
    where, digest = INDICES[name]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        url = f"{SUITE}/{where}/by-hash/SHA256/{digest}"
        try:
            with urlopen(url, timeout=60) as answer:
                path.write_bytes(answer.read())
        except (URLError, OSError) as cause:
            raise Skipped(f"{url}: {cause}") from None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        path.unlink()
        raise Skipped(f"{name}.xz is not what it was: its sha256 differs from the pinned one")
    into = work / name
    into.write_bytes(lzma.decompress(content))
    return into
