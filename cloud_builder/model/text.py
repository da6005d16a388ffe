"""Durations, sizes and long lists as people read them, the same in every message; text that a message can carry."""

from __future__ import annotations

from collections.abc import Sequence

_MAX_NAMES = 10
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """Returns a duration for a sentence: `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h" if hour else f"{days} d"
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    return f"{second} s"


def compact_duration(seconds: float) -> str:
    """Returns a duration for a column of a table: `42s`, `3m05s`, `2h10m`. Parts of a second are left out."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minute:02d}m"
    return f"{minutes}m{second:02d}s" if minutes else f"{second}s"


def size(count: float) -> str:
    """Returns a number of bytes in the largest unit that leaves a number of at least 1: `512 B`, `1.5 KiB`, `4 GiB`."""
    power = 0
    while count >= 1024 and power < len(_SIZE_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{count:.1f}".removesuffix(".0") + f" {_SIZE_UNITS[power]}"


def first_few(names: Sequence[str], most: int = _MAX_NAMES, *, total: int | None = None) -> str:
    """Returns `a, b, c and 7 more`: at most `most` of the names. `total`: their number, if `names` has not all."""
    more = (len(names) if total is None else total) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_few_lines(lines: Sequence[str], most: int, what: str = "") -> tuple[str, ...]:
    """Returns at most `most` lines, and one that counts the others: `and 7 more`, with `what` `and 7 more slots`."""
    more = len(lines) - most
    return (*lines[:most], *([f"and {more} more {what}".rstrip()] if more > 0 else []))


def first_line(text: str | None) -> str:
    """Returns the first line of a message; empty if there is no message."""
    return next(iter((text or "").splitlines()), "")


def utf8(text: str) -> str:
    """Returns the text with halves of surrogate pairs written as escapes.

    JSON may name such halves, and file names that are not UTF-8 are decoded to them; no message can carry them.
    """
    return text.encode(errors="backslashreplace").decode()
