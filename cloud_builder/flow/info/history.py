"""Documents of a unit's former builds with their inputs, and of the files that pushes changed.

    collection    key                  parent, rank and content
    newest-job    source:unit@target   parent: the unit's last name; the newest job, by time of its first event
    past-build    job                  parent: source:unit@target; the last MAX_ENTRIES successes, by time
    past-failure  job                  the same for failures and errors
    unit-tree     source:unit@tree     parent: source:unit; the push that brought this tree, and the tree before it
    unit-change   source:unit@commit   parent: source:unit; the files that this push changed

Filled by the projection, so its rule holds: a repeated event, or another order of topics, changes nothing.
"""

from __future__ import annotations

from typing import Any

from cloud_builder.model import events as e
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.ids import RequestId, SourceName, TreeId, UnitPath, job_number, request_of
from cloud_builder.model.inputs import UsedArtifact
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.text import first_line
from cloud_builder.planning.why import JobFacts, PastBuild, PushedChanges
from cloud_builder.ports.state import Document, Documents

from .documents import NEWEST_JOB, PAST_BUILD, PAST_FAILURE, UNIT_CHANGE, UNIT_TREE

_SUCCESSES = (Outcome.SUCCESS, Outcome.REUSED)
MAX_ENTRIES = 10
"""Successes, and failures, that are kept for each unit and target; also pushes for each unit."""


def carry_over(event: e.JobEvent, old: Document) -> Document:
    """Returns fields that `why` needs and later events of the job lack: its dependencies, when it could start."""
    if isinstance(event, e.JobBlocked):
        needs = [job for job in event.waiting_for if not _is_other_request(job, event.request_id)]
        return {"needs": needs} if needs else {}
    if isinstance(event, e.JobFinished) and event.skipped_for:
        return {"needs": list(event.skipped_for)}  # the job may never have been reported as waiting for them
    if isinstance(event, e.JobQueued):
        return {"queued_at": old.get("queued_at") or event.at}
    return {}


def _is_other_request(job: str, request: RequestId) -> bool:
    """True for a duplicate in another request: the job waits for it, but does not need its packages."""
    return request_of(job) != request


def note_newest(body: Document, state: Documents) -> None:
    """Notes the newest job of a unit and target. Of several in a request (rounds of a cycle) the last one counts."""
    key = _unit_target_key(body["source"], body["unit"], body["target"]["name"])
    old, at = state.get(NEWEST_JOB, key), body["first_at"]
    if old is None or (old["at"], job_number(old["job_id"])) < (at, job_number(body["job_id"])):
        parent = body["unit"].rsplit("/", 1)[-1]
        state.put(NEWEST_JOB, key, {"job_id": body["job_id"], "at": at}, parent=parent, rank=at)


def newest(source: str, unit: str, target: str, state: Documents) -> Document | None:
    """Returns the newest job of a unit and target; None also when it was deleted."""
    found = state.get(NEWEST_JOB, _unit_target_key(source, unit, target))
    return state.get("job", found["job_id"]) if found else None


# --- former builds


def record_result(body: Document, state: Documents) -> None:
    """Records the outcome of a finished job as a success or a failure; other outcomes are not recorded."""
    if body["state"] != JobState.FINISHED or not body.get("outcome"):
        return
    is_success = body["outcome"] in _SUCCESSES or (body["outcome"] == Outcome.SKIPPED and bool(body.get("reused_from")))
    if not is_success and body["outcome"] not in (Outcome.FAILURE, Outcome.ERROR):
        return
    collection, job = PAST_BUILD if is_success else PAST_FAILURE, body["job_id"]
    at = min((state.get(collection, job) or body).get("at") or body["at"], body["finished_at"])
    key = _unit_target_key(body["source"], body["unit"], body["target"]["name"])
    state.put(collection, job, _past(body, at, state), parent=key, rank=at)
    _prune(collection, key, state)


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
    """Returns the inputs of the job whose packages were reused: it has the same input key, so the same inputs."""
    earlier = (state.get(PAST_BUILD, job) or state.get("job", job) or {}) if job else {}
    return earlier.get("inputs")


def _name(file: Document) -> str:
    package = file.get("package")
    return str(package["name"] if package else file["name"])


def last(collection: str, job: JobFacts, state: Documents) -> PastBuild | None:
    """Returns the newest result of the job's unit and target from before the job could start.

    `collection`: PAST_BUILD or PAST_FAILURE.
    """
    key = _unit_target_key(job.source, job.unit, job.target.name)
    for job_id, body in state.find(collection, parent=key, newest=True):
        if job_id != job.job_id and (not job.is_finished or body["at"] <= job.since):
            return PastBuild.model_validate(body)
    return None


def build_of(used: UsedArtifact, target: str, state: Documents) -> PastBuild | None:
    """Returns the oldest recorded build with this artifact, or the build that it reused."""
    if not used.unit:
        return None
    for _, body in state.find(PAST_BUILD, parent=_unit_target_key(used.source, used.unit, target)):
        if used.sha256 in body["files"].values():
            builder = state.get(PAST_BUILD, body["built_by"])
            return PastBuild.model_validate(builder or body)
    return None


# --- pushes


def record_push(event: e.SourceRevised, state: Documents) -> None:
    """Records a new head of the followed branch: the units whose tree has changed, and the changed files.

    Must be called before the units are stored, because their former trees are read.
    """
    for unit in event.units:
        unit_key = f"{event.source}:{unit.path}"
        old = state.get("unit", unit_key)
        if old is not None and old["tree"] != unit.tree:
            _put(
                UNIT_TREE,
                f"{unit_key}@{unit.tree}",
                {"revision": event.revision, "before": old["tree"]},
                unit_key,
                state,
            )
    for change in event.changes:
        unit_key = f"{event.source}:{change.path}"
        body = {"files": list(change.files), "more": change.more}
        _put(UNIT_CHANGE, f"{unit_key}@{event.revision}", body, unit_key, state)


def _put(collection: str, key: str, body: Document, unit_key: str, state: Documents) -> None:
    """Stores a document behind those of earlier pushes, as a push has no time. A repeated push keeps its rank."""
    old = state.get(collection, key)
    if old is not None and old.get("revision") == body.get("revision"):
        return
    newest = next(iter(state.find(collection, parent=unit_key, newest=True, most=1)), None)
    rank = newest[1]["rank"] + 1 if newest else 0
    state.put(collection, key, {**body, "rank": rank}, parent=unit_key, rank=rank)
    _prune(collection, unit_key, state)


def pushed_changes(
    source: SourceName, unit: UnitPath, before: TreeId, after: TreeId, state: Documents
) -> PushedChanges | None:
    """Returns all files that pushes changed from one tree to the other, those of the newest push first."""
    unit_key, tree = f"{source}:{unit}", after
    files: dict[str, None] = {}
    more, revision, complete = 0, None, True
    seen: set[str] = set()
    while tree != before and tree not in seen:
        seen.add(tree)
        step = state.get(UNIT_TREE, f"{unit_key}@{tree}")
        if step is None:
            complete = False
            break
        revision = revision or step["revision"]
        change = state.get(UNIT_CHANGE, f"{unit_key}@{step['revision']}")
        files.update(dict.fromkeys(change["files"] if change else ()))
        more += change["more"] if change else 0
        complete = complete and change is not None
        tree = step["before"]
    if revision is None:
        return None
    return PushedChanges(revision=revision, files=tuple(files), more=more, complete=complete and tree == before)


def remove_unit(unit_key: str, state: Documents) -> None:
    """Removes the pushes of a unit, `source:path`, that is not in the source any more."""
    for collection in (UNIT_TREE, UNIT_CHANGE):
        for key in [key for key, _ in state.find(collection, parent=unit_key)]:
            state.delete(collection, key)


def _prune(collection: str, parent: str, state: Documents) -> None:
    surplus = state.count(collection, parent=parent) - MAX_ENTRIES
    for key in [key for key, _ in state.find(collection, parent=parent, most=surplus)] if surplus > 0 else []:
        state.delete(collection, key)


def _unit_target_key(source: str, unit: str, target: str) -> str:
    return f"{source}:{unit}@{target}"
