"""Starts the measured programs, ends them for certain, and reads their usage from the kernel."""

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
    """The error of a part, or of a baseline, that cannot be measured on this machine; the message has the cause."""


class Program:
    """A process of the benchmark, with its output in a file. Ended with SIGTERM, then SIGKILL."""

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
        """Returns the resident memory in MB."""
        return self._memory("VmRSS:")

    def largest_rss(self) -> float:
        """Returns the largest resident memory so far, in MB."""
        return self._memory("VmHWM:")

    def _memory(self, field: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024 / MB
        raise RuntimeError(f"{self.name} has ended:\n{self.output()}")

    def cpu(self) -> float:
        """Returns the seconds of CPU used so far, with those of children that were waited for."""
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
    """Yields a temporary directory on a disk, for durable state: /tmp may be small, or in memory."""
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
    """Returns the path of a program. Raises Skipped with the command that installs it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise Skipped(f"{program} is not installed: apt-get install {package}")
    return found
