"""Runs a durable Redis on a free port for the time of a block."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Program, need
from support.waiting import until


@contextmanager
def running(home: Path) -> Iterator[str]:
    """Starts Redis, and yields its URL. Raises Skipped when Redis is not installed."""
    server = need("redis-server", "redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "", "--appendonly", "yes"]
    program = Program("redis", [server, *words, "--appendfsync", "everysec"], home)
    try:
        until(lambda: _answers(port, program), f"Redis at port {port}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        program.end()


def _answers(port: int, program: Program) -> bool:
    program.check()
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
