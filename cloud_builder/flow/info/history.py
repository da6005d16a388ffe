"""What a unit was before: its last endings with their inputs, and which push changed which of its files.

    newest-job    source:unit@target   parent: the unit's last name; the newest job, by time of first mention
    past-build    job                  parent: source:unit@target; the last KEPT good endings, by time
    past-failure  job                  the same for failures and errors
    unit-tree     source:unit@tree     parent: source:unit; the push that brought this tree, and the tree before it
    unit-change   source:unit@commit   parent: source:unit; the files that this push changed

Filled by the fold, so it obeys the fold's rules: the same event again, or topics in another order, change nothing.
"""

from __future__ import annotations

from typing import Any

from cloud_builder.model import events as e
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.ids import RequestId, SourceName, TreeId, UnitPath
from cloud_builder.model.inputs import UsedArtifact
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.text import first_line
from cloud_builder.planning.why import JobFacts, PastBuild, PushedChanges
from cloud_builder.ports.state import Document, Documents

from .documents import NEWEST_JOB, PAST_BUILD, PAST_FAILURE, UNIT_CHANGE, UNIT_TREE

_GOOD = (Outcome.SUCCESS, Outcome.REUSED)
KEPT = 10
"""Of each unit and target, good and bad ones apart; pushes of each unit, too."""


def carry_over(event: e.JobEvent, old: Document) -> Document:
    """What later events of the same job would wipe out, and `why` needs: what it builds with, when it could start."""
    if isinstance(event, e.JobBlocked):
        others = [job for job in event.waiting_for if not _is_other_request(job, event.request_id)]
        return {"needs": others} if others else {}
    if isinstance(event, e.JobFinished) and event.skipped_for:
        return {"needs": list(event.skipped_for)}  # it may never have waited for them
    if isinstance(event, e.JobQueued):
        return {"queued_at": old.get("queued_at") or event.at}
    return {}


def _is_other_request(job: str, request: RequestId) -> bool:
    """A job of another request that builds the same inputs: waited for, but not needed."""
    return job.rpartition(".")[0] != request


def note_newest(body: Document, state: Documents) -> None:
    """Of the jobs that one request has for it (the rounds of a dependency cycle) the last one is meant."""
    place = _place(body["source"], body["unit"], body["target"]["name"])
    old, at = state.get(NEWEST_JOB, place), body["first_at"]
    if old is None or (old["at"], _number(old["job_id"])) < (at, _number(body["job_id"])):
        parent = body["unit"].rsplit("/", 1)[-1]
        state.put(NEWEST_JOB, place, {"job_id": body["job_id"], "at": at}, parent=parent, rank=at)


def newest(source: str, unit: str, target: str, state: Documents) -> Document | None:
    """The newest job of a unit and target; None also when it is forgotten."""
    found = state.get(NEWEST_JOB, _place(source, unit, target))
    return state.get("job", found["job_id"]) if found else None


def _number(job: str) -> int:
    last = job.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


# --- endings ----------------------------------------------------------------------------------------------------------


def record_result(body: Document, state: Documents) -> None:
    """The ending of a job, good or bad."""
    if body["state"] != JobState.FINISHED or not body.get("outcome"):
        return
    good = body["outcome"] in _GOOD or (body["outcome"] == Outcome.SKIPPED and bool(body.get("reused_from")))
    if not good and body["outcome"] not in (Outcome.FAILURE, Outcome.ERROR):
        return
    collection, job = PAST_BUILD if good else PAST_FAILURE, body["job_id"]
    at = min((state.get(collection, job) or body).get("at") or body["at"], body["finished_at"])
    place = _place(body["source"], body["unit"], body["target"]["name"])
    state.put(collection, job, _past(body, at, state), parent=place, rank=at)
    _forget(collection, place, state)


def _past(body: Document, at: float, state: Documents) -> Document:
    took = body["finished_at"] - body["started_at"] if body.get("started_at") else sum(body.get("timings", {}).values())
    names = ("job_id", "request_id", "revision", "outcome", "input_key")
    return {
        **{name: body.get(name) for name in names},
        "inputs": body.get("inputs") or _inputs_of(body.get("reused_from"), state),
        "seconds": took if body["outcome"] == Outcome.SUCCESS else 0.0,
        "at": at,
        "built_by": body.get("reused_from") or body["job_id"],
        "message": first_line(body.get("message")),
        "files": {
            _name(file): file["sha256"] for file in body.get("artifacts", []) if file["kind"] == ArtifactKind.DEB
        },
    }


def _inputs_of(job: str | None, state: Documents) -> Any:
    """Of the job whose output was taken over: the same input key, so the same inputs."""
    earlier = (state.get(PAST_BUILD, job) or state.get("job", job) or {}) if job else {}
    return earlier.get("inputs")


def _name(file: Document) -> str:
    package = file.get("package")
    return str(package["name"] if package else file["name"])


def last(collection: str, job: JobFacts, state: Documents) -> PastBuild | None:
    """The newest ending of the job's unit and target before this job could start.

    `collection`: PAST_BUILD or PAST_FAILURE."""
    place = _place(job.source, job.unit, job.target.name)
    for key, body in state.find(collection, parent=place, newest=True):
        if key != job.job_id and (not job.is_finished or body["at"] <= job.since):
            return PastBuild.model_validate(body)
    return None


def made(used: UsedArtifact, target: str, state: Documents) -> PastBuild | None:
    """The first job that we know of which left this artifact behind."""
    if not used.unit:
        return None
    for _, body in state.find(PAST_BUILD, parent=_place(used.source, used.unit, target)):
        if used.sha256 in body["files"].values():
            builder = state.get(PAST_BUILD, body["built_by"])
            return PastBuild.model_validate(builder or body)
    return None


# --- pushes -----------------------------------------------------------------------------------------------------------


def revise(event: e.SourceRevised, state: Documents) -> None:
    """A new tip of the followed branch: which units have another tree than before, and which files that were. Must be
    called before the units are put."""
    for unit in event.units:
        place = f"{event.source}:{unit.path}"
        old = state.get("unit", place)
        if old is not None and old["tree"] != unit.tree:
            _put(UNIT_TREE, f"{place}@{unit.tree}", {"revision": event.revision, "before": old["tree"]}, place, state)
    for change in event.changes:
        place = f"{event.source}:{change.path}"
        body = {"files": list(change.files), "more": change.more}
        _put(UNIT_CHANGE, f"{place}@{event.revision}", body, place, state)


def _put(collection: str, key: str, body: Document, unit_target_key: str, state: Documents) -> None:
    """By order of arrival: a push has no time of its own. The same push again keeps its place."""
    old = state.get(collection, key)
    if old is not None and old.get("revision") == body.get("revision"):
        return
    newest = next(iter(state.find(collection, parent=unit_target_key, newest=True, most=1)), None)
    rank = newest[1]["rank"] + 1 if newest else 0
    state.put(collection, key, {**body, "rank": rank}, parent=unit_target_key, rank=rank)
    _forget(collection, unit_target_key, state)


def pushed(source: SourceName, unit: UnitPath, before: TreeId, after: TreeId, state: Documents) -> PushedChanges | None:
    """All files that pushes changed on the way from one tree to the other, newest push first."""
    place, tree = f"{source}:{unit}", after
    files: dict[str, None] = {}
    more, revision, complete = 0, None, True
    seen: set[str] = set()
    while tree != before and tree not in seen:
        seen.add(tree)
        step = state.get(UNIT_TREE, f"{place}@{tree}")
        if step is None:
            complete = False
            break
        revision = revision or step["revision"]
        change = state.get(UNIT_CHANGE, f"{place}@{step['revision']}")
        files.update(dict.fromkeys(change["files"] if change else ()))
        more += change["more"] if change else 0
        complete = complete and change is not None
        tree = step["before"]
    if revision is None:
        return None
    return PushedChanges(revision=revision, files=tuple(files), more=more, complete=complete and tree == before)


def forget(unit_target_key: str, state: Documents) -> None:
    """The unit `source:path` is gone."""
    for collection in (UNIT_TREE, UNIT_CHANGE):
        for key in [key for key, _ in state.find(collection, parent=unit_target_key)]:
            state.delete(collection, key)


def _forget(collection: str, unit_target_key: str, state: Documents) -> None:
    surplus = state.count(collection, parent=unit_target_key) - KEPT
    for key in [key for key, _ in state.find(collection, parent=unit_target_key, most=surplus)] if surplus > 0 else []:
        state.delete(collection, key)


def _place(source: str, unit: str, target: str) -> str:
    return f"{source}:{unit}@{target}"
