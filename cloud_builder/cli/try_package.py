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


class BeforeDashes(click.Command):
    """Keeps what stands behind `--` apart: click alone would join both sides."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["command"] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND…]"]


@click.command("try", cls=BeforeDashes)
@click.argument("repository")
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE…")
@global_options
@click.pass_context
def try_package(ctx: click.Context, repository: str, packages: tuple[str, ...]) -> int:
    """Install PACKAGEs from REPOSITORY with apt, signatures checked, into a throw-away root, and run COMMAND there.

    Without COMMAND a shell is opened. The exit code is that of COMMAND."""
    from cloud_builder.wiring.try_package import TryRequest, run

    command: tuple[str, ...] = ctx.meta["command"]
    if not command and not sys.stdin.isatty():
        raise click.UsageError("Say what to run behind --, or call it on a terminal for a shell.")
    with session() as mesh:
        url = _url(mesh.pages("repositories"), repository)
        return run(mesh.settings, TryRequest(repository, url, packages, command, _root(mesh, repository)), _show)


def _show(said: bytes) -> None:
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()


def _url(rows: list[dict[str, Any]], repository: str) -> str:
    known = {str(row["repository"]): str(row["url"]) for row in rows}
    if repository not in known:
        hint = did_you_mean(repository, known) or "cb-ctl list repositories shows what there is."
        raise Rejected(f"repository {repository!r}: not known", code="unknown-repository", hint=hint)
    return known[repository]


def _root(mesh: Session, repository: str) -> RootSource:
    """The build root of a unit that is built for the repository's distribution on this kind of machine."""
    from cloud_builder.wiring.try_package import RootSource

    for source in mesh.pages("sources"):
        name = source["source"]
        profile = f"{repository.removeprefix(name + '-')}.{platform.machine()}"
        for unit in mesh.pages("units", source=name) if repository.startswith(f"{name}-") else ():
            if profile in unit["targets"]:
                where = (source["url"], unit["revision"], unit["directory"])
                return RootSource(name, *where, profile=profile, repositories=unit["repositories"] or "")
    raise Rejected(
        f"{repository}: no unit is built for it on {platform.machine()}, so there is no root to try it in",
        code="no-root",
        hint="Install from it on a machine of its architecture: doc/how-to/install-packages.md",
    )
