"""`cb-ctl down`: ends the mesh of this machine, or what a killed supervisor has left of it."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import click

from cloud_builder.errors import ExitCode, Retryable

from .options import global_options
from .output import say
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.wiring.rundir import RunningMesh

DOWN_WITHIN = 180.0
"""Seconds; longer than the supervisor waits for its five groups of daemons (children.STOP_WITHIN)."""
LOOK_EVERY = 0.1


@click.command()
@global_options
def down() -> int:
    """Stop the mesh of this machine. Builds under way are handed back; the state stays."""
    from cloud_builder.wiring.rundir import is_alive, last_written, up_of

    with session() as mesh:
        home = mesh.settings.home
        running = up_of(home)
        if running is None:
            left = [child for child in getattr(last_written(home), "children", ()) if is_alive(child)]
            if not left:
                say(mesh.json, {"stopped": []}, f"no mesh is running at {home}")
                return ExitCode.SUCCESS
            _end_all([child.pid for child in left])
            say(mesh.json, {"stopped": [child.name for child in left]}, f"stopped what was left of the mesh at {home}")
            return ExitCode.SUCCESS
        os.kill(running.supervisor.pid, signal.SIGTERM)
        _wait_until_down(mesh, running)
        names = [child.name for child in running.children]
        say(mesh.json, {"stopped": names}, f"stopped: {', '.join(names)}")
        return ExitCode.SUCCESS


def _wait_until_down(mesh: Session, running: RunningMesh) -> None:
    from cloud_builder.wiring.rundir import is_alive

    deadline = time.monotonic() + DOWN_WITHIN
    while is_alive(running.supervisor):
        if time.monotonic() > deadline:
            hint = f"kill -9 {running.supervisor.pid}; its children end with it."
            raise Retryable(f"the mesh did not stop within {DOWN_WITHIN:g} s", code="not-down", hint=hint)
        time.sleep(LOOK_EVERY)


def _end_all(pids: list[int]) -> None:
    from cloud_builder.wiring.rundir import start_time

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            if start_time(pid):
                os.kill(pid, number)
        deadline = time.monotonic() + 30.0
        while any(start_time(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
