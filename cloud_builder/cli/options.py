"""Options that every command accepts, before or after the name of the command: --home, --broker, --json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class GlobalOptions:
    """The values of the global options. `obj` of the root context."""

    home: Path | None = None
    broker: str | None = None
    json: bool = False


def options_of(ctx: click.Context) -> GlobalOptions:
    """Returns the global options of the command line that `ctx` belongs to."""
    return ctx.find_root().ensure_object(GlobalOptions)


def _home(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        options_of(ctx).home = Path(value).expanduser().absolute()


def _broker(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        options_of(ctx).broker = value


def _json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        options_of(ctx).json = True


home_option = click.option(
    "--home",
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_home,
    help="Directory of the mesh's state on this machine [CB_HOME].",
)
broker_option = click.option(
    "--broker",
    metavar="HOST:PORT,…",
    expose_value=False,
    is_eager=True,
    callback=_broker,
    help="Kafka to connect to [CB_BROKER; default: the broker of this machine's mesh].",
)
json_option = click.option(
    "--json", is_flag=True, expose_value=False, is_eager=True, callback=_json, help="Print JSON, for programs."
)


def global_options(command: F) -> F:
    """Adds --home, --broker and --json to a command."""
    return home_option(broker_option(json_option(command)))
