"""What `cb-ctl request` and `cb-ctl plan` have in common: the words that name units, and the wish they make."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cloud_builder.errors import Rejected
from cloud_builder.model.priority import Priority

from .completers import SOURCES, TARGETS, UNITS
from .session import Session

if TYPE_CHECKING:
    from cloud_builder.model.events import BuildRequested

F = TypeVar("F", bound=Callable[..., Any])
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 30 * 86400.0
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


def parse_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """`90s`, `30m`, `1h30m`, `2d` → seconds."""
    if value is None:
        return None
    text = value.replace(" ", "").lower()
    if not _DURATION.fullmatch(text):
        unit = f"say {text}s, {text}m or {text}h" if text.isdigit() else "it looks like 90s, 30m, 1h30m or 2d"
        raise click.BadParameter(f"{value!r} is no length of time: {unit}.", ctx, param)
    found = sum(float(piece[:-1]) * _SECONDS[piece[-1]] for piece in re.findall(r"[\d.]+[smhd]", text))
    if not 0 < found <= LONGEST:
        raise click.BadParameter(f"{value!r}: more than nothing, and at most 30 days.", ctx, param)
    return found


_OPTIONS = (
    click.argument("units", nargs=-1, metavar="[UNIT]…", shell_complete=UNITS),
    click.option("--all", "every", is_flag=True, help="Every unit of the source."),
    click.option("--since", metavar="REV", default="", help="The units that changed after this branch, tag or commit."),
    click.option(
        "--rebuild-dependants", "dependants", is_flag=True, help="Also what build-depends on them, and so on."
    ),
    click.option("--source", metavar="NAME", shell_complete=SOURCES, help="The git repository [the only one]."),
    click.option("--ref", default="", metavar="REF", help="Branch, tag or commit [the branch the source follows]."),
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="DIST.ARCH",
        shell_complete=TARGETS,
        help="Only this target; may be repeated.",
    ),
)
_URGENCY = (
    click.option(
        "--priority",
        type=click.Choice([one.value for one in Priority]),
        help="How urgent it is [bulk for --all, else normal].",
    ),
    click.option(
        "--deadline", callback=parse_duration, metavar="TIME", help="Cancel what has not ended by then: 30m, 2h."
    ),
)


@dataclass(frozen=True)
class RequestSpec:
    """What the command line says of a wish."""

    units: tuple[str, ...] = ()
    every: bool = False
    since: str = ""
    dependants: bool = False
    source: str | None = None
    ref: str = ""
    targets: tuple[str, ...] = ()
    priority: str | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        if bool(self.units) + self.every + bool(self.since) != 1:
            raise click.UsageError("Name the units to build, or say --all, or --since REV (one of them).")


def unit_options(command: F) -> F:
    """The arguments and options that name units."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def priority_options(command: F) -> F:
    """--priority and --deadline."""
    for option in reversed(_URGENCY):
        command = option(command)
    return command


def build_requested(
    mesh: Session, words: RequestSpec, *, wanted_id: str | None = None, plan: bool = False
) -> BuildRequested:
    """Rejected for an id that cannot be one, and when there is more than one source to choose from."""
    from cloud_builder.model.events import REQUEST_ID, BuildRequested
    from cloud_builder.model.ids import RequestId, SourceName

    if wanted_id is not None and not re.match(REQUEST_ID, wanted_id):
        hint = "Letters, digits, '.', '_' and '-'; it begins with a letter or digit; at most 100 characters."
        raise Rejected(f"request id {wanted_id!r}: cannot be one", code="bad-request-id", hint=hint)
    prefix = "plan-" if plan else "r-"
    return BuildRequested(
        source=SourceName(words.source or only_source(mesh)),
        units=tuple(unit.strip("/") for unit in words.units),
        all=words.every,
        since=words.since,
        dependants=words.dependants,
        ref=words.ref,
        targets=words.targets,
        request_id=RequestId(wanted_id or prefix + "".join(secrets.choice(LETTERS) for _ in range(6))),
        requester=requester(),
        priority=Priority(words.priority) if words.priority else None,
        deadline=words.deadline,
        plan=plan,
    )


def only_source(mesh: Session) -> str:
    names = [str(row["source"]) for row in mesh.pages("sources")]
    if len(names) == 1:
        return names[0]
    if not names:
        raise Rejected("there is no source yet", code="unknown-source", hint="Add one: cb-ctl source add NAME URL")
    raise Rejected("more than one source", code="which-source", hint=f"Say --source {' or --source '.join(names)}.")


def requester() -> str:
    import getpass
    import socket

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()
