"""cb-ctl: its table of commands, and how errors become messages and exit codes."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import click

from cloud_builder import __version__
from cloud_builder.errors import Bug, CloudBuilderError, ExitCode, Retryable

from .lazy import LazyGroup
from .options import GlobalOptions, global_options
from .output import painted
from .terminal import sanitize

COMMANDS = {
    "up": ("cloud_builder.cli.up", "up", "Start the whole mesh on this machine."),
    "down": ("cloud_builder.cli.down", "down", "Stop the mesh of this machine; its state stays."),
    "source": ("cloud_builder.cli.source", "source", "Add, list and remove the git repositories to build from."),
    "request": ("cloud_builder.cli.request", "request", "Ask for units to be built."),
    "plan": ("cloud_builder.cli.plan", "plan", "Say what a request would build, and why, without building it."),
    "watch": ("cloud_builder.cli.request", "watch", "Follow a request to its end."),
    "cancel": ("cloud_builder.cli.request", "cancel", "Stop a request."),
    "status": ("cloud_builder.cli.status", "status", "How the mesh, a request or a job is doing."),
    "why": ("cloud_builder.cli.why", "why", "Why a job, a request or a unit waits, is built, or failed."),
    "graph": ("cloud_builder.cli.graph", "graph", "Who needs whom: a tree, dot or SVG."),
    "list": ("cloud_builder.cli.lists", "list_group", "List sources, units, requests, jobs, runners or repositories."),
    "logs": ("cloud_builder.cli.logs", "logs", "Show the log of a job, also while it builds."),
    "get": ("cloud_builder.cli.get", "get", "Download what a job or a request has built."),
    "try": ("cloud_builder.cli.try_package", "try_package", "Install from a repository into a throw-away root."),
    "build": ("cloud_builder.cli.build", "build", "Build a unit's directory here, without any mesh."),
    "shell": ("cloud_builder.cli.build", "shell", "Open a shell in the buildroot of a unit's directory."),
    "check": ("cloud_builder.cli.check", "check", "Validate the manifests of a tree."),
    "doctor": ("cloud_builder.cli.doctor", "doctor", "Say what this machine lacks, and how to mend it."),
    "dead-letter": ("cloud_builder.cli.deadletter", "dead_letter", "List, show and retry messages nobody could read."),
    "admin": ("cloud_builder.cli.admin", "admin", "For who runs a mesh: prove that reading it all again does nothing."),
    "completion": ("cloud_builder.cli.completion", "completion", "Print the completion script for a shell."),
}

EPILOG = (
    "Exit codes: 0 success, 1 a build failed, 2 wrong usage, 3 rejected, 4 infrastructure or time-out, 130 interrupted."
)


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="cb-ctl")
@global_options
def cli() -> None:
    """Build packages from git and publish them, by a mesh of five small daemons.

    \b
    First steps:
      cb-ctl up --detach --source demo=/path/to/repository
      cb-ctl request --all --watch
    """


class Misused(CloudBuilderError):
    """The command line cannot be understood."""

    exit_code = ExitCode.USAGE


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Runs one command; returns its exit code."""
    said = GlobalOptions()
    try:
        code = cli.main(args, prog_name="cb-ctl", standalone_mode=False, obj=said)
        sys.stdout.flush()
    except SystemExit:
        return (
            ExitCode.SUCCESS
        )  # click's own answer to a reader that went away (| head): it raises this for nothing else
    except Exception as error:
        return _code_of(error, said.json or "--json" in args[: (*args, "--").index("--")])
    except KeyboardInterrupt:
        return _code_of(click.Abort(), said.json)
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _code_of(error: Exception, as_json: bool) -> int:
    """Says what went wrong; the exit code that follows."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException() if as_json:
            return _explain(Misused(error.format_message(), code="usage"), as_json)
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case click.Abort():
            click.echo("interrupted", err=True)
            return ExitCode.INTERRUPTED
        case BrokenPipeError():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.SUCCESS
    return _explain(_as_ours(error), as_json)


def _as_ours(error: Exception) -> CloudBuilderError:
    if isinstance(error, CloudBuilderError):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        told = f"{where}{error.strerror or error}"
        return Retryable(told, code="system", hint="Look at --home and the rights of its files.")
    traceback.print_exception(error)
    hint = "This is a mistake of ours: please report it with the lines above."
    return Bug(f"{type(error).__name__}: {error}", hint=hint)


def _explain(error: CloudBuilderError, as_json: bool) -> int:
    if as_json:
        body: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
        click.echo(json.dumps({"error": body}), err=True)
        return error.exit_code
    click.echo(f"{painted('error:', 'red', bold=True)} {sanitize(error.message)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {sanitize(line)}", err=True)
    return error.exit_code
