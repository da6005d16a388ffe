"""Writes the generated files, or names the stale ones.

python -m cloud_builder.wiring.schemas [--check] DIRECTORY [--pages DIRECTORY]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from cloud_builder.errors import ExitCode

from . import files, pages


def stale(expected: Mapping[Path, str], directory: Path) -> list[Path]:
    """Returns the files that are missing or differ, and those in the directory that nothing generates any more."""
    differing = [path for path, text in expected.items() if not path.is_file() or path.read_text() != text]
    left_over = [path for path in directory.rglob("*") if path.is_file() and path not in expected]
    return sorted(differing + left_over)


def write(expected: Mapping[Path, str], directory: Path) -> None:
    """Writes the files that differ, and removes those that nothing generates any more."""
    for path in stale(expected, directory):
        if path not in expected:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(expected[path])
        if path.suffix == ".sh":
            path.chmod(0o755)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail when a file is stale.")
@click.option("--pages", "handbook", type=click.Path(path_type=Path), help="Write the reference pages there, too.")
@click.argument("directory", type=click.Path(path_type=Path))
def main(check: bool, handbook: Path | None, directory: Path) -> None:
    """Generate the schemas from the model into DIRECTORY."""
    expected = {directory / name: text for name, text in files().items()}
    if handbook:
        expected |= {handbook / name: text for name, text in pages().items()}
    if not check:
        write(expected, directory)
        return
    if outdated := stale(expected, directory):
        click.echo("stale: " + ", ".join(map(str, outdated)) + "\n  Run: make schemas", err=True)
        sys.exit(ExitCode.FAILED)
    click.echo(f"{len(expected)} generated files are fresh")


if __name__ == "__main__":
    main()
