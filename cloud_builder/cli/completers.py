"""What a shell completes: names that the running mesh knows. Silent and quick, also when no mesh is running."""

from __future__ import annotations

from collections.abc import Callable

import click

from cloud_builder.errors import CloudBuilderError

from .options import said
from .session import Session

WITHIN = 1.0
"""Seconds; nobody waits longer for a Tab."""
MOST = 200

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def names(*views: tuple[str, str]) -> Complete:
    """Completes from list views of cb-info: (view, the field that names a row)."""

    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
        mesh = Session(said(ctx))
        try:
            found = [str(row[key]) for view, key in views for row in mesh.ask(view, WITHIN, most=MOST)["items"]]
        except CloudBuilderError:
            return []
        finally:
            mesh.close()
        return sorted({name for name in found if name.startswith(begun)})

    return complete


def targets(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The names of targets that units have."""
    mesh = Session(said(ctx))
    try:
        found = {str(one) for row in mesh.ask("units", WITHIN, most=MOST)["items"] for one in row["targets"]}
    except CloudBuilderError:
        return []
    finally:
        mesh.close()
    return sorted(name for name in found if name.startswith(begun))


TARGETS = targets
UNITS = names(("units", "path"))
SOURCES = names(("sources", "source"))
REQUESTS = names(("requests", "request_id"))
THINGS = names(("requests", "request_id"), ("jobs", "job_id"))
WHYS = names(("units", "path"), ("requests", "request_id"), ("jobs", "job_id"))
