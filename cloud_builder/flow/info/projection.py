"""Applies events to the documents of the read model.

A repeated event changes nothing. Events of different topics, which have no order among each other, give the same
documents in any order.

    collection  key                    content, parent and rank
    source      name                   the followed commit, the problems of its units, the error of the source
    unit        source:path            parent: source
    request     id                     by time of acceptance
    job         id                     parent: request; by time of its first event
    job-state   job id                 parent: state or outcome; for counting
    job-name    job id                 parent: the unit's last name; for finding
    attempt     job/number             parent: job
    runner      id
    quarantine  runner id              why the scheduler gives it no work, and until when
    repository  name
    deleted-unit source:path           parent: source
    dead-letter id

Read next: history.py (former builds, pushes), branch_state.py (units behind their branch), change_index.py (changes of
a request), livelog.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloud_builder.model import events as e
from cloud_builder.model.outcome import JobState
from cloud_builder.ports.state import Document, Documents

from . import branch_state, change_index, history, livelog, publication
from .documents import DEAD_LETTER, DELETED_UNIT, QUARANTINE

RUNNER_RETENTION = 86400.0
"""Seconds after the last heartbeat; then the runner is removed."""
MAX_DEAD_LETTERS = 1000
"""The oldest are removed."""


def apply_event(payload: e.Payload, state: Documents) -> None:
    """Applies an event to the read model; an event that no view shows is ignored."""
    if isinstance(payload, e.JobEvent):
        _job(payload, state)
    elif action := _ACTIONS.get(type(payload)):
        action(payload, state)


def remove_silent_runners(state: Documents, now: float) -> None:
    silent = [key for key, runner in state.find("runner") if now - runner["at"] > RUNNER_RETENTION]
    for key in silent:
        state.delete("runner", key)
        state.delete(QUARANTINE, key)


def _source_revised(event: e.SourceRevised, state: Documents) -> None:
    if not event.followed:
        return
    history.record_push(event, state)
    old = state.get("source", event.source) or {}
    is_first = event.part == 0
    problems = [problem.model_dump() for unit in event.units for problem in unit.problems]
    problems += [problem.model_dump() for problem in event.problems]
    head = event.model_dump(include={"source", "url", "branch", "revision"})
    head["problems"] = problems if is_first else [*old.get("problems", []), *problems]
    for unit in event.units:
        body = {**unit.model_dump(mode="json"), "source": event.source, "revision": event.revision}
        former = state.get("unit", f"{event.source}:{unit.path}")
        state.put("unit", f"{event.source}:{unit.path}", body, parent=event.source)
        branch_state.on_unit_revised(former, body, state)
    if event.part == event.parts - 1:
        dropped = _drop_units(event.source, state, keep=event.revision)
        publication.record_deleted(event, dropped, state)
    head["units"] = state.count("unit", parent=event.source)
    head["trouble"] = old.get("trouble")
    state.put("source", event.source, head)


def _drop_units(source: str, state: Documents, keep: str = "") -> list[Document]:
    """Removes the units of a source, except those of the revision `keep`; returns them."""
    dropped = [(key, unit) for key, unit in state.find("unit", parent=source) if unit["revision"] != keep]
    for key, unit in dropped:
        state.delete("unit", key)
        branch_state.remove_unit(unit, state)
        history.remove_unit(key, state)
    return [unit for _, unit in dropped]


def _source_troubled(event: e.SourceTroubled, state: Documents) -> None:
    empty = {"source": event.source, "url": event.url, "branch": "", "revision": "", "problems": [], "units": 0}
    trouble = event.model_dump(include={"code", "message", "hint", "at"}) if event.message else None
    state.put("source", event.source, {**empty, **(state.get("source", event.source) or {}), "trouble": trouble})


def _source_removed(event: e.SourceRemoved, state: Documents) -> None:
    _drop_units(event.source, state)
    for key in [key for key, _ in state.find(DELETED_UNIT, parent=event.source)]:
        state.delete(DELETED_UNIT, key)
    state.delete("source", event.source)


def _accepted(event: e.RequestAccepted, state: Documents) -> None:
    if event.plan:  # its answer goes to cb.plan
        return
    old = state.get("request", event.request_id) or {}
    _put_request(
        {"state": "accepted", **event.model_dump(mode="json", exclude={"newer_commits"}), **_end_fields(old)}, state
    )


def _end_fields(old: Document) -> Document:
    """Returns the fields of a request's end, which an event about its start must not remove when it comes late."""
    if old.get("state") not in ("finished", "rejected"):
        return {key: old[key] for key in ("state",) if old.get("state") == "running"}
    names = ("state", "outcome", "code", "message", "hint", "summary", "repositories", "objects_url", "finished_at",
             "jobs", "held", "more_held")  # fmt: skip
    return {key: old[key] for key in names if key in old}


def _rejected(event: e.RequestRejected, state: Documents) -> None:
    end = {"state": "rejected", "outcome": "rejected", "finished_at": event.rejected_at}
    _put_request({"accepted_at": event.rejected_at, **event.model_dump(mode="json"), **end}, state)


def _finished(event: e.RequestFinished, state: Documents) -> None:
    if event.code == "planned":
        return
    old = state.get("request", event.request_id) or {}
    body = {**event.model_dump(mode="json", exclude={"jobs"}), "jobs": len(event.jobs) + event.left_out}
    if event.outcome == "rejected":
        body["accepted_at"] = old.get("accepted_at") or event.finished_at
    changed = {key: value for key, value in body.items() if value or key not in old}
    _put_request({**old, **changed, "state": "rejected" if event.outcome == "rejected" else "finished"}, state)
    for job in event.jobs:
        _job_result(job, event, state)


def _job_result(job: e.JobResult, event: e.RequestFinished, state: Documents) -> None:
    """Finishes a job whose own `job.finished` has not come (yet): the broker may have lost it."""
    stored = state.get("job", job.job_id) or {}
    old = stored or {"first_at": event.finished_at, "attempt": 0, "runner_id": None}
    if old.get("state") == JobState.FINISHED:
        return
    result = job.model_dump(mode="json") | {"target": old.get("target") or {"name": job.target}}
    end = {"state": JobState.FINISHED, "finished_at": event.finished_at, "at": event.finished_at}
    end |= {"waiting_for": [], "hold": None}
    about = {"request_id": event.request_id, "source": event.source, "revision": event.revision, "reason": ""}
    body = {**old, **result, **about, **end}
    history.note_newest(body, state)
    _put_job(stored, body, state)


def _put_request(body: Document, state: Documents) -> None:
    state.put("request", body["request_id"], body, rank=body.get("accepted_at") or body.get("finished_at") or 0.0)


def _job(event: e.JobEvent, state: Documents) -> None:
    old = state.get("job", event.job_id) or {}
    body = {"first_at": event.at, **old, **event.model_dump(mode="json"), **history.carry_over(event, old)}
    if not old:
        history.note_newest(body, state)
    if isinstance(event, e.JobRunning):
        body["started_at"] = event.at
        _request_runs(event.request_id, state)
    if isinstance(event, e.JobFinished):
        body["finished_at"] = event.at
    else:
        body["outcome"] = None
    if not isinstance(event, e.JobQueued | e.JobBlocked):
        body.update(waiting_for=[], reason="")
    if not isinstance(event, e.JobQueued):
        body["hold"] = None
    _put_job(old, body, state)
    if isinstance(event, e.JobFinished):
        branch_state.on_job_finished(event, state)


def _put_job(old: Document, body: Document, state: Documents) -> None:
    """Stores a job and its indexes. `old`: its document before; empty: none."""
    job, at = body["job_id"], body["first_at"]
    if body.get("outcome") and body.get("log"):
        livelog.drop(job, state)
    history.record_result(body, state)
    state.put("job", job, body, parent=body["request_id"], rank=at)
    state.put("job-state", job, {}, parent=body.get("outcome") or body["state"], rank=at)
    if not old:
        state.put("job-name", job, {}, parent=body["unit"].rsplit("/", 1)[-1], rank=at)
        change_index.note_target(body, state)
    if not old or body.get("artifacts"):
        change_index.note_artifacts(body, state)
    if body != old:
        change_index.note(job, body["request_id"], state)


def _request_runs(request_id: str, state: Documents) -> None:
    request = state.get("request", request_id)
    if request and request["state"] == "accepted":
        _put_request({**request, "state": "running"}, state)


def _attempt_started(event: e.AttemptStarted, state: Documents) -> None:
    key = _attempt_key(event.job_id, event.attempt)
    old = state.get("attempt", key) or {}
    state.put("attempt", key, {**event.model_dump(mode="json"), **old}, parent=event.job_id, rank=event.attempt)


def _attempt_finished(event: e.AttemptFinished, state: Documents) -> None:
    key = _attempt_key(event.job_id, event.attempt)
    state.put("attempt", key, event.model_dump(mode="json"), parent=event.job_id, rank=event.attempt)


def _attempt_key(job: str, number: int) -> str:
    return f"{job}/{number}"


def _log_appended(event: e.LogAppended, state: Documents) -> None:
    job = state.get("job", event.job_id) or {}
    if not (job.get("state") == JobState.FINISHED and job.get("log")):
        livelog.append(event, state)
        if job:
            change_index.note(event.job_id, job["request_id"], state)


def _runner_seen(event: e.RunnerSeen, state: Documents) -> None:
    state.put("runner", event.runner_id, {**event.model_dump(mode="json"), "draining": False, "reason": ""})


def _runner_draining(event: e.RunnerDraining, state: Documents) -> None:
    if old := state.get("runner", event.runner_id):
        changes = {"draining": True, "reason": event.reason, "at": event.at, "attempts": []}
        state.put("runner", event.runner_id, {**old, **changes})


def _runner_quarantined(event: e.RunnerQuarantined, state: Documents) -> None:
    """Stores a quarantine unless a newer one is stored: the topic may be read again from any position."""
    old = state.get(QUARANTINE, event.runner_id)
    if old is None or old["at"] <= event.at:
        state.put(QUARANTINE, event.runner_id, event.model_dump(mode="json"))


def _published(event: e.RepositoryPublished, state: Documents) -> None:
    body = event.model_dump(mode="json", exclude={"jobs"})
    state.put("repository", event.repository, {**body, "failed": ""})


def _publish_failed(event: e.PublishFailed, state: Documents) -> None:
    old = state.get("repository", event.repository) or {"repository": event.repository, "at": event.at}
    state.put("repository", event.repository, {**old, "failed": event.message})


def _dead(event: e.MessageDead, state: Documents) -> None:
    state.put(DEAD_LETTER, event.dead_id, event.model_dump(mode="json", exclude={"value", "headers"}), rank=event.at)
    surplus = state.count(DEAD_LETTER) - MAX_DEAD_LETTERS
    for key in [key for key, _ in state.find(DEAD_LETTER, most=surplus)] if surplus > 0 else []:
        state.delete(DEAD_LETTER, key)


_ACTIONS: dict[type[e.Payload], Callable[[Any, Documents], None]] = {
    e.SourceRevised: _source_revised,
    e.SourceTroubled: _source_troubled,
    e.SourceRemoved: _source_removed,
    e.RequestAccepted: _accepted,
    e.RequestRejected: _rejected,
    e.RequestFinished: _finished,
    e.AttemptStarted: _attempt_started,
    e.AttemptFinished: _attempt_finished,
    e.LogAppended: _log_appended,
    e.RunnerSeen: _runner_seen,
    e.RunnerDraining: _runner_draining,
    e.RunnerQuarantined: _runner_quarantined,
    e.RepositoryPublished: _published,
    e.PublishFailed: _publish_failed,
    e.MessageDead: _dead,
}
