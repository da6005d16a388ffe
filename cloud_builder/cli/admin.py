"""`cb-ctl admin`: commands for operators."""

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
    "replay": ("cloud_builder.cli.admin", "replay", "Check that reading all topics again changes nothing."),
}


@click.group("admin", cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def admin() -> None:
    """Commands for operators of a mesh."""


@click.command("replay")
@global_options
def replay() -> int:
    """Check that reading all topics again changes nothing.

    Reads again, from the beginning, every message that the daemons of this machine have handled, and applies it to a
    copy of each daemon's state. Sends nothing; the mesh goes on working. Exit code 1 if a job would have been
    started, or an event written.
    """
    from cloud_builder.wiring.replay import replay_daemons

    with session() as mesh:
        results = list(replay_daemons(mesh.settings, mesh.broker))
        if mesh.json:
            show_json([_row(result) for result in results])
        else:
            _show(results)
    return ExitCode.FAILED if any(result.written for result in results) else ExitCode.SUCCESS


def _row(result: ReplayReport) -> dict[str, Any]:
    return {
        "daemon": result.daemon,
        "read": result.read,
        "handled_again": dict(result.again),
        "jobs_started": result.started,
        "events_written": dict(result.written),
    }


def _show(results: list[ReplayReport]) -> None:
    cells = [
        [result.daemon, result.read, result.again.total(), result.started, result.written.total()] for result in results
    ]
    show_table(
        ["daemon", "messages", "handled again", "jobs started", "events written"], cells, empty="no daemon was replayed"
    )
    for result in results:
        for kind, number in sorted(result.written.items()):
            click.echo(f"{result.daemon}: would have written {number} × {kind}")
