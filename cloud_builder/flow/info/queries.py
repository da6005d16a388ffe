"""One question → one answer. `what` names the view, `args` narrow it; lists take `most` and `after`.

A question that cannot be answered gets a code (not-found, ambiguous, bad-argument, unknown-view) with the nearest name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import InfoAnswered, InfoAsked
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.ports.state import Documents

from . import change_views, find, graph, livelog, views
from .pages import Row, page
from .why import why

Args = dict[str, Any]


@dataclass(frozen=True)
class QueryContext:
    """What an answer is made of."""

    state: Documents
    now: float
    objects_url: str
    rules: QueuePolicy
    atlas: graph.GraphCache


def answer(asked: InfoAsked, desk: QueryContext) -> InfoAnswered:
    """Never raises for what a person may have mistyped."""
    view = VIEWS.get(asked.what)
    try:
        if view is None:
            raise Rejected(f"view {asked.what!r}: not known", code="unknown-view", hint=did_you_mean(asked.what, VIEWS))
        return InfoAnswered(query_id=asked.query_id, data=view(desk, asked.args))
    except Rejected as no:
        return InfoAnswered(query_id=asked.query_id, code=no.code, message=no.message, hint=no.hint)


def _sources(desk: QueryContext, args: Args) -> Any:
    return page(((key, views.source(body)) for key, body in desk.state.find("source")), args)


def _units(desk: QueryContext, args: Args) -> Any:
    source = _known_source(desk, args)
    return page(((key, views.unit(body)) for key, body in desk.state.find("unit", parent=source)), args)


def _requests(desk: QueryContext, args: Args) -> Any:
    source = _known_source(desk, args)
    found = desk.state.find("request", newest=True)
    wanted = ((key, body) for key, body in found if _fits(body, args, "state", "outcome"))
    return page(((key, views.request(body)) for key, body in wanted if source in (None, body["source"])), args)


def _request(desk: QueryContext, args: Args) -> Any:
    """A request with a page of its jobs, by number."""
    body = find.one("request", _word(args, "request"), desk.state)
    rows = _jobs_of(desk, body["request_id"], args)
    return {"request": views.request_in_full(body), "jobs": page(rows, _all_of(args))}


def _jobs(desk: QueryContext, args: Args) -> Any:
    if request := args.get("request"):
        body = find.one("request", str(request), desk.state)
        rows, args = _jobs_of(desk, body["request_id"], args), _all_of(args)
    else:
        rows = ((key, views.job(body, desk.state)) for key, body in desk.state.find("job", newest=True))
    names = ("state", "outcome", "source", "unit", "runner_id", "target")
    return page(((key, row) for key, row in rows if _fits(row, args, *names)), args)


def _job(desk: QueryContext, args: Args) -> Any:
    return views.whole_job(find.job_of(_word(args, "job"), desk.state), desk.state, desk.objects_url)


def _changes(desk: QueryContext, args: Args) -> Any:
    """A request, and what is new of its jobs."""
    request = find.one("request", _word(args, "request"), desk.state)
    told = change_views.changed(request["request_id"], desk.state, desk.objects_url, args)
    return {"request": views.request_in_full(request), **told}


def _made(desk: QueryContext, args: Args) -> Any:
    request = find.one("request", _word(args, "request"), desk.state)
    return change_views.made(request["request_id"], desk.state, desk.objects_url, args)


def _attempts(desk: QueryContext, args: Args) -> Any:
    body = find.job_of(_word(args, "job"), desk.state)
    return page(_attempt_rows(desk, body["job_id"]), args)


def _runners(desk: QueryContext, args: Args) -> Any:
    rows = views.runners(desk.state, desk.now)
    return page(((key, row) for key, row in rows if _fits(row, args, "state")), args)


def _repositories(desk: QueryContext, args: Args) -> Any:
    return page(((key, views.repository(body)) for key, body in desk.state.find("repository")), args)


def _log(desk: QueryContext, args: Args) -> Any:
    """A piece of a live log. `done`: nothing more will come; `log`: where the whole log is, once it is an artifact."""
    offset, attempt = args.get("offset") or 0, args.get("attempt") or 0
    if not isinstance(offset, int) or not isinstance(attempt, int) or offset < 0:
        raise Rejected(f"offset {offset!r}, attempt {attempt!r}: must be numbers", code="bad-argument")
    body = find.job_of(_word(args, "job"), desk.state)
    finished = body["state"] == JobState.FINISHED
    chunk = livelog.read(body["job_id"], attempt, offset, desk.state)
    whole = views.fetchable(body["log"], desk.objects_url) if body.get("log") else None
    return {
        "job": views.job(body, desk.state),
        "attempt": chunk.attempt,
        "offset": chunk.offset,
        "next": chunk.next,
        "text": chunk.text,
        "done": finished and not chunk.text,
        "log": whole,
    }


def _status(desk: QueryContext, args: Args) -> Any:
    """Everything in numbers, and what is amiss."""
    state = desk.state
    jobs = {name: state.count("job-state", parent=name) for name in _STATES}
    runners = [row for _, row in views.runners(state, desk.now)]
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
        "dead_letters": state.count("dead"),
    }


def _resolve(desk: QueryContext, args: Args) -> Any:
    kind, found = find.resolve_id(_word(args, "id"), desk.state)
    return {"kind": kind, "id": found}


def _why(desk: QueryContext, args: Args) -> Any:
    return why(_word(args, "id"), desk.state, desk.now, desk.rules)


def _graph(desk: QueryContext, args: Args) -> Any:
    _known_source(desk, args)
    return graph.view(desk.atlas, desk.state, args)


def _jobs_of(desk: QueryContext, request: str, args: Args) -> Iterator[Row]:
    """By number, those behind `after`: what came on pages before is not made into rows again."""
    after = _number(str(args.get("after") or ""))
    found = (row for row in desk.state.find("job", parent=request) if _number(row[0]) > after)
    return ((key, views.job(body, desk.state)) for key, body in sorted(found, key=lambda row: _number(row[0])))


def _number(job: str) -> tuple[int, str]:
    """Sorts the ids of a request's jobs by the number at their end."""
    return len(job), job


def _all_of(args: Args) -> Args:
    """For rows that begin behind `after` already."""
    return {**args, "after": None}


def _attempt_rows(desk: QueryContext, job: str) -> Iterator[Row]:
    return views.attempts(job, desk.state, desk.objects_url)


def _known_source(desk: QueryContext, args: Args) -> str | None:
    if not (source := args.get("source")):
        return None
    if desk.state.get("source", str(source)) is None:
        raise find.missing("source", str(source), [key for key, _ in desk.state.find("source")])
    return str(source)


def _word(args: Args, name: str) -> str:
    word = str(args.get(name) or "")
    if not word:
        raise Rejected(f"argument {name!r} is missing", code="bad-argument")
    return word


def _fits(row: dict[str, Any], args: Args, *names: str) -> bool:
    return all(not args.get(name) or row.get(name) == args[name] for name in names)


_RUNNER = ("runner_id", "state", "reason", "until", "slots", "attempts")
_STATES = [*(state.value for state in JobState if state is not JobState.FINISHED), *(o.value for o in Outcome)]

VIEWS: dict[str, Callable[[QueryContext, Args], Any]] = {
    "sources": _sources,
    "units": _units,
    "requests": _requests,
    "request": _request,
    "jobs": _jobs,
    "changes": _changes,
    "made": _made,
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
