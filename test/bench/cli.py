"""cli.*: how long a person waits for cb-ctl, beside the bare interpreter that it cannot be faster than."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, figure
from bench.mesh import running
from support.waiting import until

CTL = str(Path(sys.executable).with_name("cb-ctl"))
BARE = "python -c pass"


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    runs = max(3, int(15 * scale))
    bare = [_seconds([sys.executable, "-c", "pass"]) for _ in range(runs)]
    yield figure("cli.help", [_seconds([CTL, "--help"]) for _ in range(runs)], "s", bare, BARE)
    with running(1, 1) as mesh:
        info = mesh.start("info")
        name = mesh.accept(*mesh.announce(1))
        status = [CTL, "--broker", mesh.broker.bootstrap, "--home", str(mesh.home), "status", name]
        until(lambda: _answers(status, info), lambda: f"an answer of cb-info:\n{info.output()}\n")
        yield figure("cli.status", [_seconds(status) for _ in range(runs)], "s", bare, BARE)


def _seconds(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - started


def _answers(command: list[str], info) -> bool:
    info.check()
    return subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0
