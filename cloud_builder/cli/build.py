"""`cb-ctl build` and `shell`: builds a unit's directory as it is on this machine, without a mesh."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode
from cloud_builder.model.text import compact_duration, size

from .build_options import build_options as variant_options
from .build_options import check_profiles
from .options import home_option, json_option
from .output import show_json, styled
from .session import Session, session
from .terminal import LogSanitizer, sanitize

if TYPE_CHECKING:
    from cloud_builder.model.events import AttemptFinished
    from cloud_builder.wiring.local_build import BuildStep, LocalBuilds

_CODES = {"success": ExitCode.SUCCESS, "failure": ExitCode.FAILED, "canceled": ExitCode.INTERRUPTED}

directory_argument = click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
target_option = click.option(
    "--target", metavar="DIST.ARCH", help="Only this target [default: those of this machine's architecture]."
)
with_option = click.option(
    "--with",
    "given",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.deb",
    help="A package that the build can use; can be repeated.",
)
no_deps_option = click.option(
    "--no-deps", is_flag=True, help="Do not build the units of the same tree that this one needs."
)


@click.command()
@directory_argument
@target_option
@with_option
@no_deps_option
@variant_options
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Directory for the results [default: here; beside the unit if here is inside the unit].",
)
@home_option
@json_option
def build(
    directory: Path,
    *,
    target: str | None,
    given: Sequence[Path],
    no_deps: bool,
    profiles: tuple[str, ...],
    build_options: tuple[str, ...],
    output: Path | None,
) -> int:
    """Build the unit in DIR as it is now, committed or not, with the recipe and the build root of a mesh.

    Units that it needs are built with the profiles and options of their own manifests."""
    from cloud_builder.wiring.local_build import LocalBuilds, plan

    with session() as mesh:
        steps = plan(directory, target, with_needs=not no_deps)
        steps = [_with_variant(step, profiles, build_options) for step in steps]
        cancel = _cancel_on_interrupt()
        local = LocalBuilds(mesh.settings, given)
        results: list[dict[str, Any]] = []
        code = ExitCode.SUCCESS
        for step in steps:
            _head(mesh, step)
            finished = local.build(step, _log(mesh), cancel)
            code = _CODES.get(finished.outcome, ExitCode.INFRASTRUCTURE)
            into = (output or _beside(directory)) if step.is_requested else None
            results.append(_result(local, step, finished, into, many=len({other.target.name for other in steps}) > 1))
            _tail(mesh, results[-1], finished)
            if code:
                break
        if mesh.json:
            show_json(results)
        return code


@click.command()
@directory_argument
@target_option
@with_option
@no_deps_option
@variant_options
@click.option("--after-failure", is_flag=True, help="Build first; open the shell where the build fails.")
@home_option
@json_option
def shell(
    directory: Path,
    *,
    target: str | None,
    given: Sequence[Path],
    no_deps: bool,
    profiles: tuple[str, ...],
    build_options: tuple[str, ...],
    after_failure: bool,
) -> int:
    """Open a shell in the build root of the unit in DIR, with build dependencies installed and source unpacked.

    All changes in the build root are thrown away. The exit code is that of the shell."""
    from cloud_builder.wiring.local_build import LocalBuilds, plan

    if not sys.stdin.isatty():
        raise click.UsageError("A shell needs a terminal.")
    with session() as mesh:
        *before, step = plan(directory, target, with_needs=not no_deps)
        step = _with_variant(step, profiles, build_options)
        cancel = _cancel_on_interrupt()
        local = LocalBuilds(mesh.settings, given)
        for need in before:
            _head(mesh, need)
            finished = local.build(need, _log(mesh), cancel)
            if code := _CODES.get(finished.outcome, ExitCode.INFRASTRUCTURE):
                _tail(mesh, _result(local, need, finished, None, many=False), finished)
                return code
        _head(mesh, step)
        return local.shell(step, _log(mesh), cancel, after_failure=after_failure)


def _with_variant(step: BuildStep, profiles: tuple[str, ...], options: tuple[str, ...]) -> BuildStep:
    """Returns a step that the user named with further build profiles and options; any other step as it is."""
    if not step.is_requested:
        return step
    check_profiles(profiles, step.unit.build_depends)
    added = {
        "profiles": tuple(sorted({*step.unit.profiles, *profiles})),
        "build_options": tuple(sorted({*step.unit.build_options, *options})),
    }
    return replace(step, unit=step.unit.model_copy(update=added))


def _cancel_on_interrupt() -> Event:
    from cloud_builder.wiring.stop_signals import stop_on

    return stop_on(signal.SIGINT, signal.SIGTERM)


def _log(mesh: Session) -> Callable[[bytes], None]:
    shown = LogSanitizer()

    def write(chunk: bytes) -> None:
        if not mesh.json:
            sys.stdout.buffer.write(shown.feed(chunk))
            sys.stdout.buffer.flush()

    return write


def _beside(directory: Path) -> Path:
    """Returns the directory for results: not inside the unit, where they would be part of the next build's source."""
    current, unit = Path.cwd(), directory.resolve()
    return unit.parent if current.is_relative_to(unit) else current


def _head(mesh: Session, step: BuildStep) -> None:
    if not mesh.json:
        need = "" if step.is_requested else " (needed)"
        click.echo(click.style(f"=== {step.unit.path} {step.target.name}{need}", bold=True))


def _result(
    local: LocalBuilds, step: BuildStep, finished: AttemptFinished, into: Path | None, *, many: bool
) -> dict[str, Any]:
    """Copies the files of a step, and its log if it has one; returns the result as --json prints it."""
    files: list[str] = []
    if into is not None:
        directory = into / step.target.name if many else into
        artifacts = [*finished.artifacts, *([finished.log] if finished.log else [])]
        files = [str(local.deliver(artifact, directory)) for artifact in artifacts]
    report = finished.model_dump(mode="json", include={"outcome", "code", "message", "hint", "step", "timings"})
    return {"unit": step.unit.path, "target": step.target.name, **report, "files": files}


def _tail(mesh: Session, result: dict[str, Any], finished: AttemptFinished) -> None:
    if mesh.json:
        return
    took = compact_duration(finished.finished_at - finished.started_at)
    click.echo(f"{result['unit']} {result['target']}: {styled(result['outcome'])} after {took}")
    for field in ("message", "hint"):
        for line in str(result[field]).splitlines():
            click.echo(f"  {sanitize(line)}", err=True)
    for file in result["files"]:
        click.echo(f"  {file}  {size(Path(file).stat().st_size)}")
