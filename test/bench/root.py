"""root.*: a base root from the object store, and one that nobody has.

root.restore stands beside tar unpacking the same archive; root.prepare beside mmdebstrap with the same packages."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from bench.figures import Figure, figure
from bench.local_builder import DESCRIPTION, TARGET, LocalBuilder
from bench.processes import Skipped, bench_cache, directory, need
from cloud_builder.adapters.kiwi.root import KiwiRootMaker

MIRROR = "http://deb.debian.org/debian"
PACKAGES = "debian-archive-keyring,gpgv,build-essential,dpkg-dev,fakeroot"


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    runs = max(1, round(3 * scale))
    with directory("root") as home:
        workshop = LocalBuilder(home, 1)
        _ready(workshop, workshop.roots_at)
        archive = max((path for path in (bench_cache() / "store").rglob("*") if path.is_file()), key=_size)
        ours = [_restore(workshop, home / f"restored-{run}") for run in range(runs)]
        bare = [_untar(archive, home / "bare") for _ in range(runs)]
        yield figure("root.restore", ours, "s", bare, "tar of the same archive")
        prepared = [_prepare(workshop, home / "prepared")]
        try:
            base = [_mmdebstrap(home / "bootstrapped")]
        except Skipped as why:
            progress(f"left out: mmdebstrap: {why}")
            base = []
        yield figure("root.prepare", prepared, "s", base, "mmdebstrap" if base else "")


def _size(path: Path) -> int:
    return path.stat().st_size


def _ready(workshop: LocalBuilder, work: Path) -> None:
    workshop.roots_in(work).acquire(DESCRIPTION, TARGET.name, "", lambda piece: None, Event())


def _restore(workshop: LocalBuilder, work: Path) -> float:
    started = time.monotonic()
    _ready(workshop, work)
    seconds = time.monotonic() - started
    workshop.sandbox.remove(work)
    return seconds


def _untar(archive: Path, into: Path) -> float:
    into.mkdir()
    started = time.monotonic()
    done = subprocess.run(["tar", "-C", str(into), "-xf", str(archive)], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    shutil.rmtree(into)
    if done.returncode != 0:
        raise RuntimeError(f"tar: {done.stderr[-500:]}")
    return seconds


def _prepare(workshop: LocalBuilder, directory: Path) -> float:
    directory.mkdir()
    output = bytearray()
    started = time.monotonic()
    KiwiRootMaker(workshop.sandbox).prepare(
        DESCRIPTION, TARGET.name, directory / "root", log=output.extend, cancel=Event()
    )
    seconds = time.monotonic() - started
    workshop.sandbox.remove(directory)
    return seconds


def _mmdebstrap(root: Path) -> float:
    words = [need("mmdebstrap", "mmdebstrap"), "--variant=apt", f"--include={PACKAGES}", "bookworm", str(root), MIRROR]
    started = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    shutil.rmtree(root, ignore_errors=True)
    if done.returncode != 0:
        raise Skipped(f"it ended with {done.returncode}: {done.stderr[-400:]}")
    return seconds
