"""`cb-ctl try`: what stands before `--` is installed, what stands behind it is run."""

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
    ("said", "heard"),
    [
        (["a", "b"], "('a', 'b') False ()"),
        (["a", "--json", "--", "run"], "('a',) True ('run',)"),
        (["a", "--", "run", "--json", "--", "x"], "('a',) False ('run', '--json', '--', 'x')"),
        (["--", "run"], "() False ('run',)"),
    ],
)
def test_the_first_double_dash_parts_packages_from_the_command(said: list[str], heard: str) -> None:
    assert CliRunner().invoke(words, said).output == heard + "\n"


def test_help_names_the_command() -> None:
    assert "[-- COMMAND…]" in CliRunner().invoke(words, ["--help"]).output
