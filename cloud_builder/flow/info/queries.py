"""Answers queries. `what` names the view, `args` narrow it; lists take `most` and `after`.

A query that cannot be answered gets a code (not-found, ambiguous, bad-argument, unknown-view), with the nearest name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import InfoAnswered, InfoAsked
from cloud_builder.model.ids import job_number
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.ports.state import Documents

from . import branch_state, change_views, find, graph, livelog, views
from .documents import BEHIND, DEAD_LETTER
from .pages import Row, page
from .why import why

Args = dict[str, Any]


@dataclass(frozen=True)
class QueryContext:
    """The input of every view: documents, time, policy of the queue, and the cached graph."""

    state: Documents
    now: float
    objects_url: str
    queue_policy: QueuePolicy
    graph_cache: graph.GraphCache


def answer(query: InfoAsked, context: QueryContext) -> InfoAnswered:
    """Returns the answer to a query; what a person has mistyped is answered with an error code."""
    view = VIEWS.get(query.what)
    try:
        if view is None:
            raise Rejected(f"view {query.what!r}: not known", code="unknown-view", hint=did_you_mean(query.what, VIEWS))
        return InfoAnswered(query_id=query.query_id, data=view(context, query.args))
    except Rejected as error:
        return InfoAnswered(query_id=query.query_id, code=error.code, message=error.message, hint=error.hint)


def _sources(context: QueryContext, args: Args) -> Any:
    return page(((key, views.source(body)) for key, body in context.state.find("source")), args)


def _units(context: QueryContext, args: Args) -> Any:
    source = _source_filter(context, args)
    if args.get("behind"):
        return page(branch_state.rows(context.state, source), args)
    found = context.state.find("unit", parent=source)
    return page(((key, views.unit(body, context.state)) for key, body in found), args)


def _requests(context: QueryContext, args: Args) -> Any:
    source = _source_filter(context, args)
    found = context.state.find("request", newest=True)
    matching = ((key, body) for key, body in found if _matches(body, args, "state", "outcome"))
    return page(((key, views.request(body)) for key, body in matching if source in (None, body["source"])), args)


def _request(context: QueryContext, args: Args) -> Any:
    """Returns a request with a page of its jobs, by number."""
    body = find.by_id("request", _required(args, "request"), context.state)
    rows = _jobs_of(context, body["request_id"], args)
    return {"request": views.request_in_full(body), "jobs": page(rows, _without_after(args))}


def _jobs(context: QueryContext, args: Args) -> Any:
    if request := args.get("request"):
        body = find.by_id("request", str(request), context.state)
        rows, args = _jobs_of(context, body["request_id"], args), _without_after(args)
    else:
        rows = ((key, views.job(body, context.state)) for key, body in context.state.find("job", newest=True))
    names = ("state", "outcome", "source", "unit", "runner_id", "target")
    return page(((key, row) for key, row in rows if _matches(row, args, *names)), args)


def _job(context: QueryContext, args: Args) -> Any:
    return views.whole_job(_job_of(context, args), context.state, context.objects_url)


def _changes(context: QueryContext, args: Args) -> Any:
    """Returns a request, and its jobs that changed since the caller's last page."""
    request = find.by_id("request", _required(args, "request"), context.state)
    changed = change_views.changed(request["request_id"], context.state, context.objects_url, args)
    return {"request": views.request_in_full(request), **changed}


def _artifacts(context: QueryContext, args: Args) -> Any:
    request = find.by_id("request", _required(args, "request"), context.state)
    return change_views.with_artifacts(request["request_id"], context.state, context.objects_url, args)


def _attempts(context: QueryContext, args: Args) -> Any:
    body = _job_of(context, args)
    return page(_attempt_rows(context, body["job_id"]), args)


def _runners(context: QueryContext, args: Args) -> Any:
    rows = views.runners(context.state, context.now)
    return page(((key, row) for key, row in rows if _matches(row, args, "state")), args)


def _repositories(context: QueryContext, args: Args) -> Any:
    return page(((key, views.repository(body)) for key, body in context.state.find("repository")), args)


def _log(context: QueryContext, args: Args) -> Any:
    """Returns a chunk of a live log. `done`: no text follows; `log`: the whole log, once it is an artifact."""
    offset, attempt = args.get("offset") or 0, args.get("attempt") or 0
    if not isinstance(offset, int) or not isinstance(attempt, int) or offset < 0:
        raise Rejected(f"offset {offset!r}, attempt {attempt!r}: must be numbers", code="bad-argument")
    body = _job_of(context, args)
    finished = body["state"] == JobState.FINISHED
    chunk = livelog.read(body["job_id"], attempt, offset, context.state)
    whole = views.fetchable(body["log"], context.objects_url) if body.get("log") else None
    return {
        "job": views.job(body, context.state),
        "attempt": chunk.attempt,
        "offset": chunk.offset,
        "next": chunk.next,
        "text": chunk.text,
        "done": finished and not chunk.text,
        "log": whole,
    }


def _status(context: QueryContext, args: Args) -> Any:
    """Returns counts of everything, and problems."""
    state = context.state
    jobs = {name: state.count("job-state", parent=name) for name in _STATES}
    runners = [row for _, row in views.runners(state, context.now)]
    requests = [views.request(body) for _, body in state.find("request", newest=True, most=10)]
    sources = [body for _, body in state.find("source")]
    return {
        "sources": len(sources),
        "problems": [{"source": body["source"], **problem} for body in sources for problem in body["problems"]][:20],
        "units": state.count("unit"),
        "requests": state.count("request"),
        "newest": requests,
        "jobs": {name: number for name, number in jobs.items() if number},
        "runners": [{key: row[key] for key in _RUNNER} for row in runners][:100],
        "repositories": [views.repository(body) for _, body in state.find("repository", most=20)],
        "behind": [row for _, row in branch_state.rows(state, most=_MAX_BEHIND)],
        "behind_count": state.count(BEHIND),
        "dead_letters": state.count(DEAD_LETTER),
    }


def _resolve(context: QueryContext, args: Args) -> Any:
    kind, found = find.resolve_id(_required(args, "id"), context.state, _target(args))
    return {"kind": kind, "id": found}


def _why(context: QueryContext, args: Args) -> Any:
    return why(_required(args, "id"), context.state, context.now, context.queue_policy, _target(args))


def _graph(context: QueryContext, args: Args) -> Any:
    _source_filter(context, args)
    return graph.view(context.graph_cache, context.state, args)


def _jobs_of(context: QueryContext, request: str, args: Args) -> Iterator[Row]:
    """Returns rows of a request's jobs, by number, from behind `after`: earlier pages are not rendered again."""
    after = job_number(str(args.get("after") or ""))
    found = (row for row in context.state.find("job", parent=request) if job_number(row[0]) > after)
    return ((key, views.job(body, context.state)) for key, body in sorted(found, key=lambda row: job_number(row[0])))


def _without_after(args: Args) -> Args:
    """Returns the arguments without `after`, for rows that begin behind it already."""
    return {**args, "after": None}


def _attempt_rows(context: QueryContext, job: str) -> Iterator[Row]:
    return views.attempts(job, context.state, context.objects_url)


def _source_filter(context: QueryContext, args: Args) -> str | None:
    if not (source := args.get("source")):
        return None
    if context.state.get("source", str(source)) is None:
        raise find.missing("source", str(source), [key for key, _ in context.state.find("source")])
    return str(source)


def _job_of(context: QueryContext, args: Args) -> dict[str, Any]:
    return find.job_of(_required(args, "job"), context.state, _target(args))


def _target(args: Args) -> str:
    return str(args.get("target") or "")


def _required(args: Args, name: str) -> str:
    value = str(args.get(name) or "")
    if not value:
        raise Rejected(f"argument {name!r} is missing", code="bad-argument")
    return value


def _matches(row: dict[str, Any], args: Args, *names: str) -> bool:
    return all(not args.get(name) or row.get(name) == args[name] for name in names)


_MAX_BEHIND = 20
_RUNNER = ("runner_id", "state", "reason", "until", "slots", "attempts")
_STATES = [*(state.value for state in JobState if state is not JobState.FINISHED), *(o.value for o in Outcome)]

VIEWS: dict[str, Callable[[QueryContext, Args], Any]] = {
    "sources": _sources,
    "units": _units,
    "requests": _requests,
    "request": _request,
    "jobs": _jobs,
    "changes": _changes,
    "artifacts": _artifacts,
    "job": _job,
    "attempts": _attempts,
    "runners": _runners,
    "repositories": _repositories,
    "log": _log,
    "status": _status,
    "resolve": _resolve,
    "why": _why,
    "graph": _graph,
}
