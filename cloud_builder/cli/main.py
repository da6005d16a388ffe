"""The command line of cb-ctl: the table of commands, and the conversion of errors to messages and exit codes."""

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
    "down": ("cloud_builder.cli.down", "down", "Stop the mesh of this machine; keep its state."),
    "source": ("cloud_builder.cli.source", "source", "Add, list and remove the git repositories to build from."),
    "request": ("cloud_builder.cli.request", "request", "Request the build of units."),
    "plan": ("cloud_builder.cli.plan", "plan", "Show what a request would build, and why, without building it."),
    "watch": ("cloud_builder.cli.request", "watch", "Follow a request, or all that run, to the end."),
    "retry": ("cloud_builder.cli.retry", "retry", "Build what failed or was canceled again."),
    "cancel": ("cloud_builder.cli.request", "cancel", "Cancel a request."),
    "status": ("cloud_builder.cli.status", "status", "Show the state of the mesh, a request or a job."),
    "why": ("cloud_builder.cli.why", "why", "Explain why a job, request or unit waits, is built, or failed."),
    "graph": ("cloud_builder.cli.graph", "graph", "Show which unit needs which, as a tree, dot or SVG."),
    "list": ("cloud_builder.cli.lists", "list_group", "List sources, units, requests, jobs, runners or packages."),
    "logs": ("cloud_builder.cli.logs", "logs", "Show the log of a job, also while the job runs."),
    "get": ("cloud_builder.cli.get", "get", "Download the artifacts of a job or a request."),
    "try": ("cloud_builder.cli.try_package", "try_package", "Install from a repository into a throw-away root."),
    "build": ("cloud_builder.cli.build", "build", "Build a unit's directory here, without a mesh."),
    "shell": ("cloud_builder.cli.build", "shell", "Open a shell in the build root of a unit's directory."),
    "check": ("cloud_builder.cli.check", "check", "Validate the manifests of a tree."),
    "doctor": ("cloud_builder.cli.doctor", "doctor", "Show what this machine lacks, and how to fix it."),
    "clean": ("cloud_builder.cli.clean", "clean", "Remove what this machine has cached for builds."),
    "dead-letter": ("cloud_builder.cli.deadletter", "dead_letter", "List, show and retry unhandled messages."),
    "admin": ("cloud_builder.cli.admin", "admin", "Commands for operators of a mesh."),
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
    """Build packages from git repositories, and publish them in signed apt repositories.

    \b
    First steps:
      cb-ctl up --detach --source demo=/path/to/repository
      cb-ctl request --all --watch
    """


class WrongUsage(CloudBuilderError):
    """A command line that cannot be parsed."""

    exit_code = ExitCode.USAGE


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Runs one command; returns its exit code."""
    options = GlobalOptions()
    try:
        code = cli.main(args, prog_name="cb-ctl", standalone_mode=False, obj=options)
        sys.stdout.flush()
    except SystemExit:
        return ExitCode.SUCCESS  # click raises SystemExit only when the reader of stdout has ended (`| head`)
    except Exception as error:
        return _report(error, options.json or "--json" in args[: (*args, "--").index("--")])
    except KeyboardInterrupt:
        return _report(click.Abort(), options.json)
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _report(error: Exception, as_json: bool) -> int:
    """Prints what went wrong, if anything; returns the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException() if as_json:
            return _print_error(WrongUsage(error.format_message(), code="usage"), as_json)
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case click.Abort():
            click.echo("interrupted", err=True)
            return ExitCode.INTERRUPTED
        case BrokenPipeError():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.SUCCESS
    return _print_error(_as_cloud_builder_error(error), as_json)


def _as_cloud_builder_error(error: Exception) -> CloudBuilderError:
    if isinstance(error, CloudBuilderError):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
        return Retryable(message, code="system", hint="Check --home and the permissions of its files.")
    traceback.print_exception(error)
    hint = "This is a bug in Cloud Builder: please report it with the lines above."
    return Bug(f"{type(error).__name__}: {error}", hint=hint)


def _print_error(error: CloudBuilderError, as_json: bool) -> int:
    if as_json:
        body: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
        click.echo(json.dumps({"error": body}), err=True)
        return error.exit_code
    click.echo(f"{painted('error:', 'red', bold=True)} {sanitize(error.message)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {sanitize(line)}", err=True)
    return error.exit_code
