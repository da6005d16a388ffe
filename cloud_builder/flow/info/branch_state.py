"""Documents of the units that are behind their branch: their newest published build is of another tree than the head.

    collection  key                  parent and content
    built-tree  source:unit@target   the tree and the versions of the newest build that is to be published
    behind      source:unit@target   parent: source; the unit's path and target, if it is behind

A unit that was never built counts once a job of it has ended without success. Filled by the projection, so its rule
holds: `update` computes a document from others, in any order of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cloud_builder.model import events as e
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.outcome import JobState, is_good
from cloud_builder.ports.state import Document, Documents

from . import history
from .documents import BEHIND, BUILT_TREE

CURRENT, BEHIND_STATE, NEVER = "current", "behind", "never"


def on_job_finished(event: e.JobFinished, state: Documents) -> None:
    """Stores the tree of a build that is to be published. The job's own document is stored already."""
    key = f"{event.source}:{event.unit}@{event.target.name}"
    if event.is_good and event.publish and event.tree is not None:
        old = state.get(BUILT_TREE, key)
        if old is None or (old["sequence"], old["job_id"]) <= (event.sequence, event.job_id):
            packages = (file.package for file in event.artifacts if file.kind is ArtifactKind.DEB)
            versions = sorted({package.version for package in packages if package is not None})
            body = {"tree": event.tree, "sequence": event.sequence, "job_id": event.job_id, "versions": versions}
            state.put(BUILT_TREE, key, body)
    update(event.source, event.unit, event.target.name, state)


def on_unit_revised(old: Document | None, unit: Document, state: Documents) -> None:
    """Updates the targets of a unit that is new or has another tree. The unit's own document is stored already."""
    if old is not None and (old["tree"], old["targets"]) == (unit["tree"], unit["targets"]):
        return
    for target in {*_targets(unit), *_targets(old or {})}:
        update(unit["source"], unit["path"], target, state)


def remove_unit(unit: Document, state: Documents) -> None:
    """Removes what is stored of a unit that is not in its source any more."""
    for target in _targets(unit):
        for collection in (BEHIND, BUILT_TREE):
            state.delete(collection, f"{unit['source']}:{unit['path']}@{target}")


def update(source: str, unit: str, target: str, state: Documents) -> None:
    """Stores or removes the document of a unit and target that is behind."""
    key = f"{source}:{unit}@{target}"
    body = state.get("unit", f"{source}:{unit}")
    is_behind = body is not None and target in _targets(body) and _is_behind(body, target, state)
    if is_behind:
        state.put(BEHIND, key, {"source": source, "unit": unit, "target": target}, parent=source)
    elif state.get(BEHIND, key) is not None:
        state.delete(BEHIND, key)


def _is_behind(unit: Document, target: str, state: Documents) -> bool:
    built = state.get(BUILT_TREE, f"{unit['source']}:{unit['path']}@{target}")
    if built is not None:
        return bool(built["tree"] != unit["tree"])
    job = history.newest(unit["source"], unit["path"], target, state)
    is_finished = job is not None and job["state"] == JobState.FINISHED
    return bool(is_finished and job is not None and not is_good(str(job.get("outcome")), str(job.get("code"))))


def rows(state: Documents, source: str | None = None, most: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields a row of each unit and target that is behind: what it was built from, and how its newest job ended."""
    for key, body in state.find(BEHIND, parent=source, most=most):
        yield key, {**body, **build_state(body["source"], body["unit"], body["target"], state)}


def builds_of(unit: Document, state: Documents) -> list[dict[str, Any]]:
    """Returns for each target of a unit whether the newest published build is of the head of the branch."""
    return [{"target": target, **build_state(unit["source"], unit["path"], target, state)} for target in _targets(unit)]


def build_state(source: str, unit: str, target: str, state: Documents) -> dict[str, Any]:
    """Returns `{"state": current | behind | never, "versions": …, "job_id": …, "outcome": …}` of a unit and target.

    `versions`: of the newest published build. `job_id` and `outcome`: of the newest job, or its state while it runs."""
    key = f"{source}:{unit}@{target}"
    built, job = state.get(BUILT_TREE, key), history.newest(source, unit, target, state)
    found = NEVER if built is None else CURRENT
    if built is not None and built["tree"] != (state.get("unit", f"{source}:{unit}") or {}).get("tree"):
        found = BEHIND_STATE
    return {
        "state": found,
        "versions": list(built["versions"]) if built else [],
        "job_id": job["job_id"] if job else None,
        "outcome": (job.get("outcome") or job["state"]) if job else None,
        "message": job.get("message") or "" if job else "",
    }


def _targets(unit: Document) -> Iterable[str]:
    return [target["name"] for target in unit.get("targets", ())]
