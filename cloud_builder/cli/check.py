"""`cb-ctl check`: what cb-request would say of a tree, before it is committed."""

from __future__ import annotations

from pathlib import Path

import click

from cloud_builder.errors import ExitCode, Rejected

from .options import home_option, json_option, said
from .output import show_json
from .terminal import sanitize


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@home_option
@json_option
def check(directory: Path) -> int:
    """Validate the manifests and packaging of all units in DIR [here]: each problem as file:line: cause.

    Exit code 3 when there is any."""
    from cloud_builder.wiring import local_build

    if not directory.is_dir():
        raise Rejected(f"{directory}: no such directory", code="no-directory")
    units, problems = local_build.check(directory)
    if said(click.get_current_context()).json:
        show_json(
            {
                "units": [{"path": unit.path, "targets": [target.name for target in unit.targets]} for unit in units],
                "problems": [problem.model_dump() for problem in problems],
            }
        )
        return ExitCode.REJECTED if problems else ExitCode.SUCCESS
    if not units and not problems:
        hint = "A unit is a directory with .cb/cloud_builder.yml."
        raise Rejected(f"{directory}: no unit in it", code="no-unit", hint=hint)
    for problem in problems:
        click.echo(sanitize(str(problem)), err=True)
    broken = len({problem.path for problem in problems})
    click.echo(f"{len(units)} units are fine" + (f", {broken} broken" if broken else ""))
    return ExitCode.REJECTED if problems else ExitCode.SUCCESS
