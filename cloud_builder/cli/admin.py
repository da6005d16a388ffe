"""`cb-ctl admin`: what who runs a mesh asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode

from .lazy import LazyGroup
from .options import global_options
from .output import show_json, show_table
from .session import session

if TYPE_CHECKING:
    from cloud_builder.mesh.replay import ReplayReport

TABLE = {
    "replay": ("cloud_builder.cli.admin", "replay", "Prove that reading all topics again does nothing."),
}


@click.group("admin", cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def admin() -> None:
    """For who runs a mesh."""


@click.command("replay")
@global_options
def replay() -> int:
    """Prove that reading all topics again does nothing.

    Every message that the daemons of this machine have handled is read again from the beginning, and handed to a copy
    of each daemon's state. Nothing is sent, and the mesh works on. Exit code 1 when a job would have been started, or
    an event written.
    """
    from cloud_builder.wiring.replay import replay_daemons

    with session() as mesh:
        results = list(replay_daemons(mesh.settings, mesh.broker))
        if mesh.json:
            show_json([_row(one) for one in results])
        else:
            _show(results)
    return ExitCode.FAILED if any(one.written for one in results) else ExitCode.SUCCESS


def _row(result: ReplayReport) -> dict[str, Any]:
    return {
        "daemon": result.daemon,
        "read": result.read,
        "handled_again": dict(result.again),
        "jobs_started": result.started,
        "events_written": dict(result.written),
    }


def _show(results: list[ReplayReport]) -> None:
    cells = [[one.daemon, one.read, one.again.total(), one.started, one.written.total()] for one in results]
    show_table(["daemon", "messages", "handled again", "jobs started", "events written"], cells, empty="nothing")
    for one in results:
        for kind, number in sorted(one.written.items()):
            click.echo(f"{one.daemon}: would have written {number} × {kind}")
