"""Answers the views of a request's changes and of its artifacts: pages over change_index, which read only their rows.

A page is `{"items": […], "after": number for the next query, "more": true if there is another page now}`.
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
MAX_AGAIN = 100
"""Unchanged rows that one query may request."""


def changed(request: str, state: Documents, objects_url: str, args: Args) -> dict[str, Any]:
    """Returns a page of the jobs that changed after the number `after`, each once, in the order of their changes.

    All jobs are returned when the state of cb-info was built anew since. Arguments: `full`, full rows with attempts;
    `again`, ids of jobs whose rows are returned although they have not changed.
    """
    again = [state.get("job", str(job)) for job in list(args.get("again") or [])[:MAX_AGAIN]]
    after = _after(args)
    after = after if after <= change_index.newest(state) else 0
    show = _full_row(state, objects_url) if args.get("full") else _row(state)
    changes = _page(change_index.since(request, after, rows_of(args) + 1, state), after, state, args, show)
    return {**changes, "again": [views.job(body, state) for body in again if body is not None]}


def with_artifacts(request: str, state: Documents, objects_url: str, args: Args) -> dict[str, Any]:
    """Returns a page of the jobs with the request's artifacts, in full rows, by job number; and all its `targets`."""
    after = _after(args)
    numbered = change_index.jobs_with_artifacts(request, after, rows_of(args) + 1, state)
    rows = _page(numbered, after, state, args, _full_row(state, objects_url))
    return {**rows, "targets": change_index.targets(request, state)}


def _page(numbered: Iterable[tuple[int, str]], after: int, state: Documents, args: Args, show: Show) -> dict[str, Any]:
    """Returns a page. `numbered`: the jobs, one more than fits if there are more."""
    found = list(numbered)
    bodies = ((str(number), state.get("job", job)) for number, job in found)
    rows = page(((key, show(body)) for key, body in bodies if body is not None), {**args, "after": None})
    end = found[-1][0] if found else after
    return {"items": rows["items"], "after": int(rows["next"] or end), "more": rows["next"] is not None}


def _row(state: Documents) -> Show:
    return lambda body: views.job(body, state)


def _full_row(state: Documents, objects_url: str) -> Show:
    return lambda body: views.whole_job(body, state, objects_url)


def _after(args: Args) -> int:
    after = args.get("after") or 0
    if not isinstance(after, int) or after < 0:
        raise Rejected(
            f"after {after!r}: not the number of a change", code="bad-argument", hint="Leave it out for all."
        )
    return after
