"""Checks that a mesh has started completely, in a program of its own beside the supervisor.

The program queries cb-info. It prints a line when what it waits for changes, and exits with 0 when the mesh is ready.
The check needs a client with all events; the supervisor runs as long as the mesh and should not keep that in memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_builder.adapters.process import spawn
from cloud_builder.errors import Retryable

if TYPE_CHECKING:
    from cloud_builder.adapters.process import Popen
    from cloud_builder.mesh.client import Client
    from cloud_builder.model.settings import Settings

_FIRST_TIMEOUT, _MAX_TIMEOUT = 1.0, 8.0
"""Seconds for an answer. A cb-info that starts later never sees a query; on a busy machine an answer takes long."""
_INTERVAL = 0.2


class ReadinessCheck:
    """The supervisor's side of the check: starts the program, reads its output, restarts the program when it fails."""

    def __init__(
        self, home: Path, runners: int, environment: Mapping[str, str], *, command: Sequence[str] = ()
    ) -> None:
        """`command`: another program with the same output."""
        own = ["--home", str(home), "--runners", str(runners), "--parent", str(os.getpid())]
        self._command = command or [sys.executable, "-m", "cloud_builder.wiring.readiness", *own]
        self._environment = environment
        self._process: Popen[bytes] | None = None
        self._missing = "waiting for cb-info to answer"

    def missing(self) -> str:
        """Returns what is being waited for; empty when the mesh is ready. Does not wait."""
        if self._process is None:
            self._process = spawn(self._command, env=self._environment, stderr=None)
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
        if self._process.poll() == 0:
            return ""
        self._read()
        if self._process.poll():
            self.end()
        return self._missing

    def end(self) -> None:
        """Ends the program; the next call of `missing` starts it again."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        if lines := (self._process.stdout.read() or b"").decode().splitlines():
            self._missing = lines[-1]


def main() -> None:
    """`python -m cloud_builder.wiring.readiness --home DIR --runners N`; the rest is in the environment."""
    from cloud_builder.mesh.client import Client

    from . import broker as brokers
    from . import parent_exit
    from .settings import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--runners", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    parent_exit.end_with(arguments.parent)
    settings = load(arguments.home)
    client, printed = Client(brokers.connect(settings.broker), "cb-up"), ""
    timeout = _FIRST_TIMEOUT
    while missing := _missing(client, _health_url(settings), arguments.runners, timeout):
        timeout = min(2 * timeout, _MAX_TIMEOUT)
        if missing != printed:
            sys.stdout.write(f"{missing}\n")
            sys.stdout.flush()
            printed = missing
        time.sleep(_INTERVAL)
    client.close()


def _missing(client: Client, health_url: str, runners: int, timeout: float) -> str:
    try:
        answer = client.query("runners", {}, timeout)
    except Retryable:
        return "waiting for cb-info to answer"
    rows = answer.data["items"] if answer.data else []
    online = sum(row["state"] == "online" for row in rows)
    if online < runners:
        return f"waiting for runners ({online} of {runners})"
    return "" if _is_serving(health_url, timeout) else f"waiting for cb-collector at {health_url}"


def _health_url(settings: Settings) -> str:
    collector = settings.collector
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(collector.host, collector.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{collector.port}/health"


def _is_serving(health_url: str, timeout: float) -> bool:
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    with (
        suppress(OSError, HTTPException),
        build_opener(ProxyHandler({})).open(health_url, timeout=timeout) as answer,
    ):
        return bool(answer.status == HTTPStatus.OK)
    return False


if __name__ == "__main__":
    main()
