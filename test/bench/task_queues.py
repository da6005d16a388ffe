"""Measures alternatives: no-op tasks in dramatiq and Celery, on a Redis of our own.

Both live in an environment of their own in the user's cache, made at first use. Redis keeps what it has on disk
(appendonly, fsync each second): jobs that are lost with the machine's power would be no fair comparison."""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import redis_server
from bench.processes import Program, Skipped, bench_cache, directory

PACKAGES = ("dramatiq[redis]", "celery", "redis", "packaging")
DRIVER = Path(__file__).with_name("task_queue_driver.py")


@dataclass(frozen=True)
class Found:
    rates: list[float]
    latencies: list[float]


def dramatiq(jobs: int, samples: int, runs: int) -> Found:
    """Measures dramatiq with its default: 4 worker processes with 8 threads each."""
    words = ["-m", "dramatiq", "dramatiq_tasks", "--processes", "4", "--threads", "8"]
    return _measure("dramatiq", words, jobs, samples, runs)


def celery(jobs: int, samples: int, runs: int) -> Found:
    """Measures Celery: 4 worker processes (prefork), results in Redis, acknowledgement after the task."""
    words = ["-m", "celery", "-A", "celery_tasks", "worker", "--concurrency", "4", "--loglevel", "WARNING"]
    return _measure("celery", words, jobs, samples, runs)


def _measure(name: str, worker: list[str], jobs: int, samples: int, runs: int) -> Found:
    python = str(_environment() / "bin" / "python")
    with directory(name) as home, redis_server.running(home) as url, _working(name, python, worker, home, url):
        numbers = [str(number) for number in (jobs, samples, runs)]
        done = subprocess.run(
            [python, str(DRIVER), name, url, *numbers], capture_output=True, text=True, timeout=150, check=False
        )
        if done.returncode != 0:
            raise Skipped(f"its driver failed: {done.stderr[-500:]}")
        return Found(**json.loads(done.stdout))


@contextmanager
def _working(name: str, python: str, worker: list[str], home: Path, url: str) -> Iterator[None]:
    program = Program(name, [python, *worker], home, REDIS_URL=url, PYTHONPATH=str(DRIVER.parent))
    try:
        yield
    finally:
        program.end()


def _environment() -> Path:
    path = bench_cache() / "venv"
    if not (path / "bin" / "celery").exists():
        venv.create(path, with_pip=True)
        install = [str(path / "bin" / "pip"), "install", "-q", *PACKAGES]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skipped(f"pip could not install {', '.join(PACKAGES)}: {done.stderr[-300:]}")
    return path
