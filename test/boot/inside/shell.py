"""Runs programs, and waits for their effects. An unexpected result raises `Wrong`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
CTL = "/usr/local/bin/cloud-builder"
"""cb-ctl as the daemons' user, made by a command of the page."""


ASK = 3


class Wrong(Exception):
    """In a line that a person can act on."""


def run(*command: str, within: float = 120, fine: tuple[int, ...] = (0,)) -> str:
    """Both streams. Wrong when it ends with another status, or not at all."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=within, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Wrong(f"{' '.join(command)[:200]}: not done within {within:g} s") from None
    if ended.returncode not in fine:
        raise Wrong(f"{' '.join(command)[:200]}: exit status {ended.returncode}: {ended.stdout[-1500:]}")
    return ended.stdout


def ctl(*words: str, within: float = 120, fine: tuple[int, ...] = (0,)) -> str:
    return run(CTL, *words, within=within, fine=fine)


def asked(*words: str) -> Any:
    """Returns the answer of cb-ctl as data. Asks again when a slow machine answers too late."""
    for _ in range(ASK):
        with contextlib.suppress(Wrong):
            return json.loads(ctl(*words, "--json"))
    return json.loads(ctl(*words, "--json"))


def until(what: Callable[[], T], expected: Callable[[T], bool], within: float, name: str) -> T:
    """Looks again and again until it is as expected."""
    deadline = time.monotonic() + within
    while not expected(seen := what()):
        if time.monotonic() > deadline:
            raise Wrong(f"{name}: not within {within:g} s; seen at last: {seen}")
        time.sleep(0.5)
    return seen


def must(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Wrong(otherwise)
