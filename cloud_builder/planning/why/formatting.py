"""Durations, sizes and digests as people read them."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 10


def duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h" if hour else f"{days} d"
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    return f"{second} s"


def ago(then: float, now: float) -> str:
    """Empty when it is not known."""
    return f"{duration(now - then)} ago" if then else ""


def within(then: float, now: float) -> str:
    return f"in about {duration(then - now)}" if then - now >= 1 else "any moment"


def size(count: float) -> str:
    """Bytes with the largest unit that leaves a number ≥ 1."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def first_few(names: Sequence[str], most: int = _SHOWN) -> str:
    """The first few of perhaps very many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")


def comma_list(*words: str) -> str:
    """Those that are not empty, by commas."""
    return ", ".join(word for word in words if word)
