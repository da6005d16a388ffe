"""Options that every command takes, before or behind its name: --home, --broker, --json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class GlobalOptions:
    """What the command line says for all commands. The context's `obj`."""

    home: Path | None = None
    broker: str | None = None
    json: bool = False


def said(ctx: click.Context) -> GlobalOptions:
    return ctx.find_root().ensure_object(GlobalOptions)


def _home(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        said(ctx).home = Path(value).expanduser().absolute()


def _broker(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        said(ctx).broker = value


def _json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        said(ctx).json = True


home_option = click.option(
    "--home",
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_home,
    help="State of the mesh on this machine [CB_HOME].",
)
broker_option = click.option(
    "--broker",
    metavar="HOST:PORT,…",
    expose_value=False,
    is_eager=True,
    callback=_broker,
    help="Kafka to talk to [CB_BROKER; else the mesh of this machine].",
)
json_option = click.option(
    "--json", is_flag=True, expose_value=False, is_eager=True, callback=_json, help="Print JSON for programs."
)


def global_options(command: F) -> F:
    """--home, --broker and --json."""
    return home_option(broker_option(json_option(command)))
