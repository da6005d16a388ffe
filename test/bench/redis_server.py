"""A Redis of our own on a free port, durable, ended with the block."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Program, need


@contextmanager
def running(home: Path) -> Iterator[str]:
    """Its URL. Skipped when Redis is not installed."""
    server = need("redis-server", "redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "", "--appendonly", "yes"]
    program = Program("redis", [server, *words, "--appendfsync", "everysec"], home)
    try:
        _wait(port, program)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        program.end()


def _wait(port: int, program: Program) -> None:
    until = time.monotonic() + 10
    while True:
        program.check()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
