"""`cb-ctl try`: arguments before `--` are packages, arguments after it are the command."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cloud_builder.cli.try_package import CommandWithDashes


@click.command(cls=CommandWithDashes)
@click.argument("packages", nargs=-1)
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def words(ctx: click.Context, packages: tuple[str, ...], as_json: bool) -> None:
    click.echo(f"{packages} {as_json} {ctx.meta['command']}")


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        (["a", "b"], "('a', 'b') False ()"),
        (["a", "--json", "--", "run"], "('a',) True ('run',)"),
        (["a", "--", "run", "--json", "--", "x"], "('a',) False ('run', '--json', '--', 'x')"),
        (["--", "run"], "() False ('run',)"),
    ],
)
def test_first_double_dash_separates_packages_from_the_command(typed: list[str], parsed: str) -> None:
    assert CliRunner().invoke(words, typed).output == parsed + "\n"


def test_help_shows_the_command_after_double_dash() -> None:
    assert "[-- COMMAND…]" in CliRunner().invoke(words, ["--help"]).output
