"""Finds the valid name that is most like a mistyped one, for the hints of rejections."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MAX_COMPARED = 5000
_MAX_LISTED = 8
_CUTOFF = 0.6


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Returns the name that is most like `word`; None if no name is similar.

    Case is ignored, and a path also matches by its last part: `helo` finds `packages/hello`."""
    by_spelling: dict[str, str] = {}
    for name in sorted(set(names))[:_MAX_COMPARED]:
        by_spelling.setdefault(name.casefold(), name)
        by_spelling.setdefault(name.rsplit("/", 1)[-1].casefold(), name)
    for spelling in dict.fromkeys((word.casefold(), word.rsplit("/", 1)[-1].casefold())):
        found = get_close_matches(spelling, by_spelling, n=1, cutoff=_CUTOFF)
        if found:
            return by_spelling[found[0]]
    return None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Returns a hint with the nearest name, else with some of the valid names; empty if there are none."""
    known = sorted(set(names))
    found = nearest(word, known)
    if found is not None:
        return f"Did you mean {found}?"
    if not known:
        return ""
    rest = len(known) - _MAX_LISTED
    return f"Known: {', '.join(known[:_MAX_LISTED])}" + (f", and {rest} more" if rest > 0 else "") + "."
