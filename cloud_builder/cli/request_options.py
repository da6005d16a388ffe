"""The options that `cb-ctl request` and `cb-ctl plan` share, and the `build.requested` event made from them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cloud_builder.errors import Rejected
from cloud_builder.model.priority import Priority

from .build_options import build_options as variant_options
from .completers import SOURCES, TARGETS, UNITS
from .session import Session

if TYPE_CHECKING:
    from cloud_builder.model.events import BuildRequested

F = TypeVar("F", bound=Callable[..., Any])
ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_DURATION = 30 * 86400.0
"""Seconds; a longer one is taken for a typing error."""
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


def parse_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Returns the seconds of `90s`, `30m`, `1h30m` or `2d`."""
    if value is None:
        return None
    text = value.replace(" ", "").lower()
    if not _DURATION.fullmatch(text):
        form = f"write {text}s, {text}m or {text}h" if text.isdigit() else "write for example 90s, 30m, 1h30m or 2d"
        raise click.BadParameter(f"{value!r} is not a duration: {form}.", ctx, param)
    found = sum(float(piece[:-1]) * _SECONDS[piece[-1]] for piece in re.findall(r"[\d.]+[smhd]", text))
    if not 0 < found <= _MAX_DURATION:
        raise click.BadParameter(f"{value!r}: must be more than 0, and at most 30 days.", ctx, param)
    return found


_UNIT_OPTIONS = (
    click.argument("units", nargs=-1, metavar="[UNIT]…", shell_complete=UNITS),
    click.option("--all", "all_units", is_flag=True, help="All units of the source."),
    click.option("--since", metavar="REV", default="", help="The units that changed since this branch, tag or commit."),
    click.option(
        "--rebuild-dependants",
        "dependants",
        is_flag=True,
        help="Also the units that build-depend on them, directly or indirectly.",
    ),
    click.option("--force", is_flag=True, help="Build the units although nothing has changed since they were built."),
    click.option("--source", metavar="NAME", shell_complete=SOURCES, help="The source [default: the only one]."),
    click.option(
        "--ref", default="", metavar="REF", help="Branch, tag or commit [default: the branch that the source follows]."
    ),
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="DIST.ARCH",
        shell_complete=TARGETS,
        help="Only this target; can be repeated.",
    ),
)
_PRIORITY_OPTIONS = (
    click.option(
        "--priority",
        type=click.Choice([priority.value for priority in Priority]),
        help="Priority of the jobs [default: bulk with --all, else normal].",
    ),
    click.option(
        "--deadline",
        callback=parse_duration,
        metavar="TIME",
        help="Cancel the jobs that have not finished after this time: 30m, 2h.",
    ),
    click.option(
        "--publish-older",
        is_flag=True,
        help="Publish the packages even where the repository has those of a newer commit: go back on purpose.",
    ),
)


@dataclass(frozen=True)
class RequestSpec:
    """The units and options of a request, as given on the command line."""

    units: tuple[str, ...] = ()
    all_units: bool = False
    since: str = ""
    dependants: bool = False
    force: bool = False
    source: str | None = None
    ref: str = ""
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    priority: str | None = None
    deadline: float | None = None
    publish_older: bool = False

    def __post_init__(self) -> None:
        if bool(self.units) + self.all_units + bool(self.since) != 1:
            raise click.UsageError("Give exactly one of UNIT…, --all and --since REV.")


def unit_options(command: F) -> F:
    """Adds the arguments and options that select units, and say how they are built, to a command."""
    command = variant_options(command)
    for option in reversed(_UNIT_OPTIONS):
        command = option(command)
    return command


def priority_options(command: F) -> F:
    """Adds --priority, --deadline and --publish-older to a command."""
    for option in reversed(_PRIORITY_OPTIONS):
        command = option(command)
    return command


def build_requested(
    mesh: Session, spec: RequestSpec, *, request_id: str | None = None, plan: bool = False
) -> BuildRequested:
    """Returns the event. Rejected for an invalid id, and when no source is named and there is not exactly one."""
    from cloud_builder.model.events import REQUEST_ID, BuildRequested
    from cloud_builder.model.ids import RequestId, SourceName

    if request_id is not None and not re.match(REQUEST_ID, request_id):
        hint = "Use letters, digits, '.', '_' and '-'; begin with a letter or digit; at most 100 characters."
        raise Rejected(f"request id {request_id!r} is not valid", code="bad-request-id", hint=hint)
    prefix = "plan-" if plan else "r-"
    return BuildRequested(
        source=SourceName(spec.source or only_source(mesh)),
        units=tuple(unit.strip("/") for unit in spec.units),
        all=spec.all_units,
        since=spec.since,
        dependants=spec.dependants,
        force=spec.force,
        ref=spec.ref,
        targets=spec.targets,
        profiles=spec.profiles,
        build_options=spec.build_options,
        request_id=RequestId(request_id or prefix + "".join(secrets.choice(ID_LETTERS) for _ in range(6))),
        requester=requester(),
        priority=Priority(spec.priority) if spec.priority else None,
        deadline=spec.deadline,
        publish_older=spec.publish_older,
        plan=plan,
    )


def only_source(mesh: Session) -> str:
    """Returns the name of the only source. Rejected when there is none, or more than one."""
    names = [str(row["source"]) for row in mesh.pages("sources")]
    if len(names) == 1:
        return names[0]
    if not names:
        raise Rejected("no source is followed yet", code="unknown-source", hint="Add one: cb-ctl source add NAME URL")
    hint = f"Name one: --source {' or --source '.join(names)}."
    raise Rejected("more than one source is followed, and none is named", code="which-source", hint=hint)


def requester() -> str:
    """Returns user@host; only the host when the user has no name (in a container)."""
    import getpass
    import socket

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()
