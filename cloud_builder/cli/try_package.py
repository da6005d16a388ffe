"""`cb-ctl try`: installs packages of a published repository into a throw-away root, and runs a command there."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import did_you_mean

from .options import global_options
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.wiring.try_package import RootSource


class CommandWithDashes(click.Command):
    """A command whose arguments after `--` are kept in `ctx.meta["command"]`; click alone would join both sides."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        dashes = args.index("--") if "--" in args else len(args)
        ctx.meta["command"] = tuple(args[dashes + 1 :])
        return super().parse_args(ctx, args[:dashes])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND…]"]


@click.command("try", cls=CommandWithDashes)
@click.argument("repository")
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE…")
@global_options
@click.pass_context
def try_package(ctx: click.Context, repository: str, packages: tuple[str, ...]) -> int:
    """Install PACKAGEs from REPOSITORY with apt into a throw-away root, and run COMMAND there.

    apt checks the signatures. Without COMMAND a shell is opened. The exit code is that of COMMAND."""
    from cloud_builder.wiring.try_package import TryRequest, run

    command: tuple[str, ...] = ctx.meta["command"]
    if not command and not sys.stdin.isatty():
        raise click.UsageError("Give a command after --, or run this on a terminal to get a shell.")
    with session() as mesh:
        url = _url(mesh.pages("repositories"), repository)
        return run(mesh.settings, TryRequest(repository, url, packages, command, _root(mesh, repository)), _show)


def _show(output: bytes) -> None:
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()


def _url(rows: list[dict[str, Any]], repository: str) -> str:
    urls = {str(row["repository"]): str(row["url"]) for row in rows}
    if repository not in urls:
        hint = did_you_mean(repository, urls) or "`cb-ctl list repositories` shows the repositories."
        raise Rejected(f"no repository {repository!r}", code="unknown-repository", hint=hint)
    return urls[repository]


def _root(mesh: Session, repository: str) -> RootSource:
    """Returns the build root of a unit for the repository's distribution and this machine's architecture."""
    from cloud_builder.wiring.try_package import RootSource

    for source in mesh.pages("sources"):
        name = source["source"]
        profile = f"{repository.removeprefix(name + '-')}.{platform.machine()}"
        for unit in mesh.pages("units", source=name) if repository.startswith(f"{name}-") else ():
            if profile in unit["targets"]:
                where = (source["url"], unit["revision"], unit["directory"])
                return RootSource(name, *where, profile=profile, repositories=unit["repositories"] or "")
    raise Rejected(
        f"{repository}: no unit is built for {platform.machine()}, so there is no build root to install into",
        code="no-root",
        hint="Use a machine of its architecture, or see doc/how-to/install-packages.md.",
    )
