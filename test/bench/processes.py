"""Starting what is measured, ending it for certain, and reading what the kernel says about it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MB = 1e6


class Skipped(Exception):
    """A part, or the baseline of a part, cannot be measured here; says why."""


class Program:
    """A process of ours, with its output in a file; ended with SIGTERM, then SIGKILL."""

    def __init__(self, name: str, command: list[str], output: Path, **environment: str) -> None:
        self.name = name
        self._output = output / f"{name}.log"
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with self._output.open("ab") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **environment}
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        return self._output.read_text(errors="replace")[-3000:]

    def check(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{self.output()}")

    def rss(self) -> float:
        """Resident memory in MB."""
        return self._memory("VmRSS:")

    def largest_rss(self) -> float:
        """The most it ever was, in MB."""
        return self._memory("VmHWM:")

    def _memory(self, field: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024 / MB
        raise RuntimeError(f"{self.name} has ended:\n{self.output()}")

    def cpu(self) -> float:
        """Seconds of CPU used so far, with those of waited-for children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / TICKS

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextmanager
def directory(prefix: str) -> Iterator[Path]:
    """A temporary directory outside /tmp where that is in memory or small: durable state wants a disk."""
    cache = bench_cache()
    path = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=cache))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def bench_cache() -> Path:
    """Returns the directory of files that the benchmark keeps between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloud-builder" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def python(*words: str) -> list[str]:
    return [sys.executable, *words]


def need(program: str, package: str) -> str:
    """The path of a program; Skipped with the command that installs it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise Skipped(f"{program} is not installed: apt-get install {package}")
    return found
