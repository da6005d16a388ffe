"""`cb-ctl build` and `shell`: a unit's directory as it is, on this machine, without any mesh."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode
from cloud_builder.model.text import compact_duration, size

from .options import home_option, json_option
from .output import show_json, styled
from .session import Session, session
from .terminal import LogSanitizer, sanitize

if TYPE_CHECKING:
    from cloud_builder.model.events import AttemptFinished
    from cloud_builder.wiring.local_build import BuildStep, LocalBuilds

_CODES = {"success": ExitCode.SUCCESS, "failure": ExitCode.FAILED, "canceled": ExitCode.INTERRUPTED}

directory_argument = click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
target_option = click.option("--target", metavar="DIST.ARCH", help="Only this target [those of this architecture].")
with_option = click.option(
    "--with",
    "given",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.deb",
    help="A package that the build may use; may be repeated.",
)
no_deps_option = click.option(
    "--no-deps", is_flag=True, help="Do not build the units of the same tree that this one needs."
)


@click.command()
@directory_argument
@target_option
@with_option
@no_deps_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the results go [here; beside the unit when here is inside of it].",
)
@home_option
@json_option
def build(directory: Path, *, target: str | None, given: Sequence[Path], no_deps: bool, output: Path | None) -> int:
    """Build the unit in DIR as it is now, committed or not, with the recipe and the root that the mesh would use."""
    from cloud_builder.wiring.local_build import LocalBuilds, plan

    with session() as here:
        steps = plan(directory, target, with_needs=not no_deps)
        cancel = _cancel_on_interrupt()
        local = LocalBuilds(here.settings, given)
        results: list[dict[str, Any]] = []
        code = ExitCode.SUCCESS
        for step in steps:
            _head(here, step)
            ended = local.build(step, _log(here), cancel)
            code = _CODES.get(ended.outcome, ExitCode.INFRASTRUCTURE)
            into = (output or _beside(directory)) if step.wanted else None
            results.append(_result(local, step, ended, into, many=len({each.target.name for each in steps}) > 1))
            _tail(here, results[-1], ended)
            if code:
                break
        if here.json:
            show_json(results)
        return code


@click.command()
@directory_argument
@target_option
@with_option
@no_deps_option
@click.option("--after-failure", is_flag=True, help="Build first; open the shell where the build fails.")
@home_option
@json_option
def shell(directory: Path, *, target: str | None, given: Sequence[Path], no_deps: bool, after_failure: bool) -> int:
    """Open a shell in the buildroot of the unit in DIR, its build dependencies installed, its source unpacked.

    What is done there is thrown away. The exit code is the shell's."""
    from cloud_builder.wiring.local_build import LocalBuilds, plan

    if not sys.stdin.isatty():
        raise click.UsageError("A shell needs a terminal.")
    with session() as here:
        *before, step = plan(directory, target, with_needs=not no_deps)
        cancel = _cancel_on_interrupt()
        local = LocalBuilds(here.settings, given)
        for need in before:
            _head(here, need)
            ended = local.build(need, _log(here), cancel)
            if code := _CODES.get(ended.outcome, ExitCode.INFRASTRUCTURE):
                _tail(here, _result(local, need, ended, None, many=False), ended)
                return code
        _head(here, step)
        return local.shell(step, _log(here), cancel, after_failure=after_failure)


def _cancel_on_interrupt() -> Event:
    from cloud_builder.wiring.stop_signals import stop_on

    return stop_on(signal.SIGINT, signal.SIGTERM)


def _log(here: Session) -> Callable[[bytes], None]:
    shown = LogSanitizer()

    def write(piece: bytes) -> None:
        if not here.json:
            sys.stdout.buffer.write(shown.feed(piece))
            sys.stdout.buffer.flush()

    return write


def _beside(directory: Path) -> Path:
    """Never inside of the unit: results would be a part of the next build's source."""
    here, unit = Path.cwd(), directory.resolve()
    return unit.parent if here.is_relative_to(unit) else here


def _head(here: Session, step: BuildStep) -> None:
    if not here.json:
        need = "" if step.wanted else " (needed)"
        click.echo(click.style(f"=== {step.unit.path} {step.target.name}{need}", bold=True))


def _result(
    local: LocalBuilds, step: BuildStep, ended: AttemptFinished, into: Path | None, *, many: bool
) -> dict[str, Any]:
    """What --json shows of a step; its files are delivered, the log too when it failed."""
    files: list[str] = []
    if into is not None:
        directory = into / step.target.name if many else into
        wanted = [*ended.artifacts, *([ended.log] if ended.log else [])]
        files = [str(local.deliver(artifact, directory)) for artifact in wanted]
    told = ended.model_dump(mode="json", include={"outcome", "code", "message", "hint", "step", "timings"})
    return {"unit": step.unit.path, "target": step.target.name, **told, "files": files}


def _tail(here: Session, result: dict[str, Any], ended: AttemptFinished) -> None:
    if here.json:
        return
    took = compact_duration(ended.finished_at - ended.started_at)
    click.echo(f"{result['unit']} {result['target']}: {styled(result['outcome'])} after {took}")
    for word in ("message", "hint"):
        for line in str(result[word]).splitlines():
            click.echo(f"  {sanitize(line)}", err=True)
    for file in result["files"]:
        click.echo(f"  {file}  {size(Path(file).stat().st_size)}")
