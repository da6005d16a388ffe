"""The options --profiles and --build-options, which `request`, `plan`, `build` and `shell` share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cloud_builder.errors import Rejected
from cloud_builder.model.build_profiles import (
    OPTION,
    OPTIONS,
    PROFILE,
    PROFILES,
    doubtful_options,
    split,
    unknown_profiles,
)

F = TypeVar("F", bound=Callable[..., Any])


def _words(pattern: str, what: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    def parse(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        for word in (words := split(values)):
            if not re.match(pattern, word):
                raise click.BadParameter(f"{word!r} is not {what}.", ctx, param)
        return words

    return parse


def _options(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Warns of an option that looks mistyped; each package may have options of its own."""
    words = _words(OPTION, "a build option")(ctx, param, values)
    for word, common in doubtful_options(words):
        click.echo(f"warning: build option {word!r} is not a common one; did you mean {common}?", err=True)
    return words


def _complete(names: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(ctx: click.Context, param: click.Parameter, prefix: str) -> list[str]:
        given, comma, last = prefix.rpartition(",")
        return [f"{given}{comma}{name}" for name in names if name.startswith(last)]

    return complete


_OPTIONS = (
    click.option(
        "--profiles",
        multiple=True,
        metavar="NAME,…",
        callback=_words(PROFILE, "the name of a build profile"),
        shell_complete=_complete(PROFILES),
        help="Build profiles, as nocheck; nocheck and nodoc are build options, too.",
    ),
    click.option(
        "--build-options",
        multiple=True,
        metavar="WORD,…",
        callback=_options,
        shell_complete=_complete(OPTIONS),
        help="Words of DEB_BUILD_OPTIONS, as noopt or parallel=1.",
    ),
)


def build_options(command: F) -> F:
    """Adds --profiles and --build-options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_profiles(profiles: tuple[str, ...], relations: str) -> None:
    """Raises Rejected for an unknown build profile; `relations`: those of the unit that is built."""
    for profile, hint in unknown_profiles(profiles, relations):
        raise Rejected(f'unknown build profile "{profile}"', code="unknown-profile", hint=hint)
