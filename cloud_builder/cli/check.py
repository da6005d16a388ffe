"""`cb-ctl check`: reports the problems that cb-request and the builds would find in sources, before a commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud_builder.errors import ExitCode, Rejected
from cloud_builder.model.text import first_few

from .options import home_option, json_option, options_of
from .output import show_json
from .terminal import sanitize

if TYPE_CHECKING:
    from cloud_builder.model.unit import Unit


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@home_option
@json_option
def check(directory: Path) -> int:
    """Validate the manifests and packaging of all units in DIR [default: here].

    Prints each problem as FILE:LINE: CAUSE. Exit code 3 if there is a problem. Build roots with packages that nobody
    verifies are named; they are no problem."""
    from cloud_builder.wiring import local_build

    if not directory.is_dir():
        raise Rejected(
            f"{directory}: no such directory", code="no-directory", hint="Give the path of a directory with units."
        )
    units, problems = local_build.check(directory)
    of_files = local_build.check_sources(directory, units)
    problems += of_files
    units = tuple(unit for unit in units if unit.path not in {problem.path for problem in of_files})
    if options_of(click.get_current_context()).json:
        show_json(
            {
                "units": [_row(unit) for unit in units],
                "problems": [problem.model_dump() for problem in problems],
            }
        )
        return ExitCode.REJECTED if problems else ExitCode.SUCCESS
    if not units and not problems:
        hint = "A unit is a directory with .cb/cloud_builder.yml."
        raise Rejected(f"{directory}: contains no unit", code="no-unit", hint=hint)
    for problem in problems:
        click.echo(sanitize(str(problem)), err=True)
    for line in _unverified(units):
        click.echo(sanitize(line), err=True)
    broken = len({problem.path for problem in problems})
    click.echo(f"units: {len(units)} valid" + (f", {broken} broken" if broken else ""))
    return ExitCode.REJECTED if problems else ExitCode.SUCCESS


def _row(unit: Unit) -> dict[str, object]:
    targets = [target.name for target in unit.targets]
    return {"path": unit.path, "targets": targets, "unverified": list(unit.unverified)}


def _unverified(units: Sequence[Unit]) -> Iterator[str]:
    """Yields a line for each package repository that is used without a check of its signature, with the units."""
    for repository in sorted({repository for unit in units for repository in unit.unverified}):
        named = [unit.path for unit in units if repository in unit.unverified]
        text = f'no signature of {repository} is checked (repository_gpgcheck="false")'
        yield f"unverified: {text}: {first_few(named, 3)}"
