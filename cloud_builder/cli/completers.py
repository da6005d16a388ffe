"""Completes names of units, requests and so on in a shell, from the running mesh.

Returns nothing, quickly and without a message, when no mesh is running.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from cloud_builder.errors import CloudBuilderError

from .options import options_of
from .session import Session

QUERY_TIMEOUT = 1.0
"""Seconds; a user does not wait longer after Tab."""
MAX_ROWS = 200
"""Rows that are read of a view; names after them are not completed."""

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def names(*views: tuple[str, str]) -> Complete:
    """Returns a completer over list views of cb-info. Each view: its name, and the field that names a row."""

    def complete(ctx: click.Context, _: click.Parameter, prefix: str) -> list[str]:
        mesh = Session(options_of(ctx))
        try:
            found = [
                str(row[key]) for view, key in views for row in mesh.query(view, QUERY_TIMEOUT, most=MAX_ROWS)["items"]
            ]
        except CloudBuilderError:
            return []
        finally:
            mesh.close()
        return sorted({name for name in found if name.startswith(prefix)})

    return complete


def targets(ctx: click.Context, _: click.Parameter, prefix: str) -> list[str]:
    """Completes the targets of all units."""
    mesh = Session(options_of(ctx))
    try:
        found = {
            str(target)
            for row in mesh.query("units", QUERY_TIMEOUT, most=MAX_ROWS)["items"]
            for target in row["targets"]
        }
    except CloudBuilderError:
        return []
    finally:
        mesh.close()
    return sorted(name for name in found if name.startswith(prefix))


TARGETS = targets
target_option = click.option(
    "--target",
    metavar="DIST.ARCH",
    default="",
    shell_complete=TARGETS,
    help="Of a unit or a request, only what is for this target.",
)
UNITS = names(("units", "path"))
SOURCES = names(("sources", "source"))
REQUESTS = names(("requests", "request_id"))
REPOSITORIES = names(("repositories", "repository"))
THINGS = names(("requests", "request_id"), ("jobs", "job_id"))
WHYS = names(("units", "path"), ("requests", "request_id"), ("jobs", "job_id"), ("repositories", "repository"))
