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

_MOST_SHOWN = 16 * 1024
"""Bytes of a body on a terminal."""
_HERE = "cloud_builder.cli.deadletter"
TABLE = {
    "list": (_HERE, "list_letters", "All of them, oldest first."),
    "show": (_HERE, "show_letter", "One of them with its bytes."),
    "retry": (_HERE, "retry_letter", "Send one once more to where it was."),
}


@click.group("dead-letter", cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def dead_letter() -> None:
    """List, show and retry messages that a daemon could not read or handle."""


@click.command("list")
@global_options
def list_letters() -> None:
    """All of them, oldest first."""
    from cloud_builder.mesh.deadletter import list_dead

    with session() as mesh:
        letters = list_dead(mesh.broker)
        if mesh.json:
            show_json([letter.model_dump(mode="json", exclude={"value", "headers"}) for letter in letters])
            return
        cells = [
            [each.dead_id, moment(each.at), each.daemon, each.topic, each.offset, each.reason.split("\n")[0]]
            for each in letters
        ]
        show_table(["letter", "since", "daemon", "topic", "offset", "reason"], cells, empty="no dead letters")


@click.command("show")
@click.argument("letter")
@global_options
def show_letter(letter: str) -> None:
    """LETTER with the reason and its original bytes."""
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
    click.echo(sanitize(body[:_MOST_SHOWN].decode(errors="replace")))
    whole = letter.whole_size or len(body)
    if len(body) > _MOST_SHOWN:
        click.echo(f"… {len(body) - _MOST_SHOWN} bytes more (--json shows all that the letter holds)", err=True)
    if letter.whole_size is not None:
        place = f"{letter.topic}/{letter.partition} at {letter.offset}"
        click.echo(f"the letter holds the beginning of a message of {whole} bytes, which lies at {place}", err=True)


@click.command("retry")
@click.argument("letter")
@global_options
def retry_letter(letter: str) -> None:
    """Send LETTER's original bytes to its topic once more, after its cause is mended."""
    from cloud_builder.mesh.deadletter import retry

    with session() as mesh:
        found = retry(mesh.broker, letter)
        if mesh.json:
            show_json({"sent": found.dead_id, "topic": found.topic})
        else:
            click.echo(f"{found.dead_id}: sent to {found.topic} again")
