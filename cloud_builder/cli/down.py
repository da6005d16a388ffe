"""`cb-ctl down`: stops the mesh of this machine, or the daemons that a killed supervisor has left."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import click

from cloud_builder.errors import ExitCode, Retryable

from .options import global_options
from .output import print_result
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.wiring.rundir import RunningMesh

STOP_TIMEOUT = 180.0
"""Seconds; longer than the supervisor waits for its five groups of daemons (children.STOP_TIMEOUT each)."""
POLL_INTERVAL = 0.1


@click.command()
@global_options
def down() -> int:
    """Stop the mesh of this machine. Running builds are stopped and requeued; the state is kept."""
    from cloud_builder.wiring.rundir import is_alive, last_written, running_mesh

    with session() as mesh:
        home = mesh.settings.home
        running = running_mesh(home)
        if running is None:
            left = [child for child in getattr(last_written(home), "children", ()) if is_alive(child)]
            if not left:
                print_result(mesh.json, {"stopped": []}, f"no mesh is running at {home}")
                return ExitCode.SUCCESS
            _end_all([child.pid for child in left])
            names = [child.name for child in left]
            print_result(
                mesh.json, {"stopped": names}, f"stopped what was left of the mesh at {home}: {', '.join(names)}"
            )
            return ExitCode.SUCCESS
        os.kill(running.supervisor.pid, signal.SIGTERM)
        _wait_until_down(mesh, running)
        names = [child.name for child in running.children]
        print_result(mesh.json, {"stopped": names}, f"stopped: {', '.join(names)}")
        return ExitCode.SUCCESS


def _wait_until_down(mesh: Session, running: RunningMesh) -> None:
    from cloud_builder.wiring.rundir import is_alive

    deadline = time.monotonic() + STOP_TIMEOUT
    while is_alive(running.supervisor):
        if time.monotonic() > deadline:
            hint = f"Run `kill -9 {running.supervisor.pid}`; its daemons end with it."
            raise Retryable(f"the mesh did not stop within {STOP_TIMEOUT:g} s", code="not-down", hint=hint)
        time.sleep(POLL_INTERVAL)


def _end_all(pids: list[int]) -> None:
    from cloud_builder.wiring.rundir import start_time

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            if start_time(pid):
                os.kill(pid, number)
        deadline = time.monotonic() + 30.0
        while any(start_time(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
