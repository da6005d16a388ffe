"""Answers `why` for repositories, packages, held builds and deleted units, from the documents of cb-info."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.events import SourceRevised
from cloud_builder.model.ids import JobId
from cloud_builder.model.repository import HeldBuild, KeptPackage
from cloud_builder.planning.why import Cause, why_job
from cloud_builder.planning.why.publication import why_deleted, why_held, why_kept, why_repository
from cloud_builder.ports.state import Document, Documents

from . import find
from .documents import DELETED_UNIT
from .facts import DocumentFacts, job_of

MAX_DELETED_UNITS = 1000
"""Deleted units of a source that are kept."""


def record_deleted(event: SourceRevised, units: list[Document], state: Documents) -> None:
    """Stores the units that a source no longer has, and removes those that are back. Called with the last part."""
    stored = [key for key, _ in state.find(DELETED_UNIT, parent=event.source)]
    for key in stored:
        if state.get("unit", key) is not None:
            state.delete(DELETED_UNIT, key)
    for unit in units[: MAX_DELETED_UNITS - len(stored)]:
        body = {"source": event.source, "path": unit["path"], "revision": event.revision}
        state.put(DELETED_UNIT, f"{event.source}:{unit['path']}", body, parent=event.source)


def of_repository(name: str, state: Documents, facts: DocumentFacts, now: float) -> list[Cause]:
    """Returns a cause for each held build and kept package of a repository; empty: no such repository."""
    body = state.get("repository", name)
    if body is None:
        return []
    causes = [*_held(body, state, facts, now), *(why_kept(name, package) for package in _kept(body))]
    return causes or [why_repository(name, str(body.get("snapshot", "")), int(body.get("packages", 0)))]


def of_package(name: str, state: Documents, facts: DocumentFacts, now: float) -> list[Cause]:
    """Returns the causes of a package that is held or kept; empty: there is none of that name."""
    causes = []
    for key, body in state.find("repository"):
        held = [build for build in _builds(body) if any(named.split()[0] == name for named in build.packages)]
        causes += [_why_held(key, build, state, facts, now) for build in held]
        causes += [why_kept(key, package) for package in _kept(body) if package.package == name]
    return causes


def of_unit(source: str, unit: str, state: Documents, facts: DocumentFacts, now: float) -> list[Cause]:
    """Returns the causes of a unit's held builds and kept packages."""
    causes = []
    for key, body in state.find("repository"):
        if key.startswith(f"{source}-"):
            causes += [_why_held(key, build, state, facts, now) for build in _builds(body) if build.unit == unit]
            causes += [why_kept(key, package) for package in _kept(body) if package.unit == unit]
    return causes


def of_deleted_unit(name: str, state: Documents, facts: DocumentFacts, now: float) -> list[Cause]:
    """Returns that a unit was deleted, and the causes of its packages that stay."""
    source, _, path = name.rpartition(":")
    for _, body in state.find(DELETED_UNIT, parent=source or None):
        if f"/{body['path']}".endswith(f"/{path}"):
            deleted = why_deleted(body["source"], body["path"], body["revision"])
            return [deleted, *of_unit(body["source"], body["path"], state, facts, now)]
    return []


def unit_of_package(name: str, state: Documents) -> str:
    """Returns the unit that makes a package; empty: none."""
    for key, unit in state.find("unit"):
        if name in unit.get("provides", ()):
            return key
    return ""


def _held(body: Document, state: Documents, facts: DocumentFacts, now: float) -> Iterator[Cause]:
    for build in _builds(body):
        yield _why_held(body["repository"], build, state, facts, now)


def _why_held(repository: str, build: HeldBuild, state: Documents, facts: DocumentFacts, now: float) -> Cause:
    job = facts.job(JobId(build.job_id))
    waits_for = f"{job.source}:{build.waits_for}" if job is not None else str(build.waits_for)
    newest = find.newest_of_unit(waits_for, state, 1) if build.waits_for else []
    roots = [why_job(job_of(one), facts, now) for one in newest if not job_of(one).is_good]
    return why_held(repository, build, roots[0] if roots else None)


def _builds(body: Document) -> list[HeldBuild]:
    return [HeldBuild.model_validate(build) for build in body.get("held", ())]


def _kept(body: Document) -> list[KeptPackage]:
    return [KeptPackage.model_validate(package) for package in body.get("kept", ())]
