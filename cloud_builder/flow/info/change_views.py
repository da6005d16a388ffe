"""The views `changes` and `made`: pages over the indexes of changes.py, which read no more than they show.

A page is `{"items": […], "after": number to go on behind, "more": whether that is worth it at once}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.ports.state import Document, Documents

from . import change_index, views
from .pages import page, rows_of

Args = dict[str, Any]
Show = Callable[[Document], dict[str, Any]]
MOST_AGAIN = 100


def changed(request: str, state: Documents, objects_url: str, args: Args) -> dict[str, Any]:
    """The jobs that changed behind the number `after`, each once, in the order of their changes; all, when cb-info has
    begun anew since. `full`: with all there is of each; `again`: rows of those that are wanted although unchanged."""
    named = [state.get("job", str(job)) for job in list(args.get("again") or [])[:MOST_AGAIN]]
    after = _after(args)
    after = after if after <= change_index.newest(state) else 0
    if not after:
        change_index.complete(request, state)
    show = _whole(state, objects_url) if args.get("full") else _row(state)
    told = _page(change_index.since(request, after, rows_of(args) + 1, state), after, state, args, show)
    return {**told, "again": [views.job(body, state) for body in named if body is not None]}


def made(request: str, state: Documents, objects_url: str, args: Args) -> dict[str, Any]:
    """The jobs whose files the request has made, in full, by number, those behind `after`; and all of its `targets`."""
    after = _after(args)
    if not after:
        change_index.complete(request, state)
    numbered = change_index.made(request, after, rows_of(args) + 1, state)
    told = _page(numbered, after, state, args, _whole(state, objects_url))
    return {**told, "targets": change_index.targets(request, state)}


def _page(numbered: Iterable[tuple[int, str]], after: int, state: Documents, args: Args, show: Show) -> dict[str, Any]:
    """`numbered`: one more than fits, if there are more."""
    found = list(numbered)
    bodies = ((str(number), state.get("job", job)) for number, job in found)
    told = page(((key, show(body)) for key, body in bodies if body is not None), {**args, "after": None})
    end = found[-1][0] if found else after
    return {"items": told["items"], "after": int(told["next"] or end), "more": told["next"] is not None}


def _row(state: Documents) -> Show:
    return lambda body: views.job(body, state)


def _whole(state: Documents, objects_url: str) -> Show:
    return lambda body: views.whole_job(body, state, objects_url)


def _after(args: Args) -> int:
    after = args.get("after") or 0
    if not isinstance(after, int) or after < 0:
        raise Rejected(
            f"after {after!r}: not the number of a change", code="bad-argument", hint="Leave it out for all."
        )
    return after
