"""`python -m cloud_builder.wiring.schemas [--check] DIRECTORY [--pages DIRECTORY]`: writes the generated files, or says
which are stale."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from cloud_builder.errors import ExitCode

from . import files, pages


def stale(wanted: Mapping[Path, str], directory: Path) -> list[Path]:
    """The files that are missing or differ, and those in the directory that nothing generates any more."""
    differing = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    strangers = [path for path in directory.rglob("*") if path.is_file() and path not in wanted]
    return sorted(differing + strangers)


def write(wanted: Mapping[Path, str], directory: Path) -> None:
    """Writes what differs, and removes what nothing generates any more."""
    for path in stale(wanted, directory):
        if path not in wanted:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
        if path.suffix == ".sh":
            path.chmod(0o755)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail when a file is stale.")
@click.option("--pages", "handbook", type=click.Path(path_type=Path), help="Write the reference pages there, too.")
@click.argument("directory", type=click.Path(path_type=Path))
def main(check: bool, handbook: Path | None, directory: Path) -> None:
    """Generate the schemas from the model into DIRECTORY."""
    wanted = {directory / name: text for name, text in files().items()}
    if handbook:
        wanted |= {handbook / name: text for name, text in pages().items()}
    if not check:
        write(wanted, directory)
        return
    if outdated := stale(wanted, directory):
        click.echo("stale: " + ", ".join(map(str, outdated)) + "\n  Run: make schemas", err=True)
        sys.exit(ExitCode.FAILED)
    click.echo(f"{len(wanted)} generated files are fresh")


if __name__ == "__main__":
    main()
