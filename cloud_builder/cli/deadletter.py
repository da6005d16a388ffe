"""`cb-ctl dead-letter`: messages that a daemon could not read or handle."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import click

from .lazy import LazyGroup
from .options import global_options
from .output import moment, show_json, show_table
from .session import session
from .terminal import sanitize

if TYPE_CHECKING:
    from cloud_builder.model.events import MessageDead

_SHOWN_BYTES = 16 * 1024
"""Of a body on a terminal; --json prints all of it."""
_HERE = "cloud_builder.cli.deadletter"
TABLE = {
    "list": (_HERE, "list_letters", "List the dead letters, oldest first."),
    "show": (_HERE, "show_letter", "Show a dead letter with its bytes."),
    "retry": (_HERE, "retry_letter", "Send a dead letter to its topic again."),
}


@click.group("dead-letter", cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def dead_letter() -> None:
    """List, show and retry messages that a daemon could not read or handle."""


@click.command("list")
@global_options
def list_letters() -> None:
    """List the dead letters, oldest first."""
    from cloud_builder.mesh.deadletter import list_dead

    with session() as mesh:
        letters = list_dead(mesh.broker)
        if mesh.json:
            show_json([letter.model_dump(mode="json", exclude={"value", "headers"}) for letter in letters])
            return
        cells = [
            [dead.dead_id, moment(dead.at), dead.daemon, dead.topic, dead.offset, dead.reason.split("\n")[0]]
            for dead in letters
        ]
        show_table(["letter", "since", "daemon", "topic", "offset", "reason"], cells, empty="no dead letters")


@click.command("show")
@click.argument("letter")
@global_options
def show_letter(letter: str) -> None:
    """Show the dead letter LETTER: the reason, and the original bytes of the message."""
    from cloud_builder.mesh.deadletter import show

    with session() as mesh:
        found = show(mesh.broker, letter)
        if mesh.json:
            show_json(found.model_dump(mode="json"))
            return
        click.echo(f"{found.dead_id}  {found.topic}/{found.partition} at {found.offset}, {found.daemon}")
        click.echo(f"  reason: {sanitize(found.reason)}")
        for name, value in found.headers:
            click.echo(f"  {sanitize(name)}: {sanitize(b64decode(value).decode(errors='replace'))}")
        _show_body(b64decode(found.value or ""), found)


def _show_body(body: bytes, letter: MessageDead) -> None:
    click.echo(sanitize(body[:_SHOWN_BYTES].decode(errors="replace")))
    whole = letter.whole_size or len(body)
    if len(body) > _SHOWN_BYTES:
        click.echo(
            f"… {len(body) - _SHOWN_BYTES} more bytes (--json prints everything that the dead letter contains)",
            err=True,
        )
    if letter.whole_size is not None:
        position = f"{letter.topic}/{letter.partition} at {letter.offset}"
        click.echo(f"the dead letter contains only the beginning of the {whole} bytes at {position}", err=True)


@click.command("retry")
@click.argument("letter")
@global_options
def retry_letter(letter: str) -> None:
    """Send the original bytes of the dead letter LETTER to its topic again. Fix the cause first."""
    from cloud_builder.mesh.deadletter import retry

    with session() as mesh:
        found = retry(mesh.broker, letter)
        if mesh.json:
            show_json({"sent": found.dead_id, "topic": found.topic})
        else:
            click.echo(f"{found.dead_id}: sent to {found.topic} again")
