"""Keeps the published versions of packages, and builds a job again whose packages have other contents than those.

published-versions   <source>:<target>/<package>    the published versions of a binary package; parent: the source
published-units      <source>:<unit>:<target>       the newest published build of a unit; parent: the source
rebuild-numbers      <source>:<unit>:<dist>         the last rebuild number of a unit; parent: the source

The rules are in `planning/publish/versions.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial

from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.model.text import first_few
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.publish import versions
from cloud_builder.planning.publish.versions import (
    PublishedUnit,
    PublishedVersion,
    PublishedVersions,
    ReservedNumber,
    VersionLookups,
    VersionVerdict,
)
from cloud_builder.planning.records import BuildResult, JobRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from .published import PublishedPackages

VERSIONS, UNITS, NUMBERS = "published-versions", "published-units", "rebuild-numbers"
_LOG = logging.getLogger("cb.scheduler")


def published_unit(documents: Documents, job: JobRecord) -> PublishedUnit | None:
    """Returns the newest published build of the job's unit for its target."""
    body = documents.get(UNITS, _unit_key(job))
    return None if body is None else PublishedUnit.model_validate(body)


def can_be_reused(documents: Documents, job: JobRecord, result: BuildResult) -> bool:
    """True when the result of the job's input key may be published now, or the job is not published."""
    reused = transitions.reuse(job, result)
    verdict = _check(documents, reused, _built(reused))
    return verdict.rebuild is None and not verdict.conflict


def prepare(work: UnitOfWork, job: JobRecord, result: BuildResult | None) -> JobRecord:
    """Returns the job with the rebuild number that it is built with first: the one that its unit is published with.

    `result`: of the same input key, which cannot be published under its version. Its packages may be known to differ
    from the published ones; then the job is built with the next number at once."""
    if result is not None:
        reused = transitions.reuse(job, result)
        built = _built(reused)
        verdict = _check(work.documents, reused, built)
        if verdict.rebuild is not None:
            _reserve(work, job, built, verdict.rebuild)
            first_build = tuple(artifact.sha256 for artifact in _packages(reused))
            return job.model_copy(update={"rebuild": verdict.rebuild, "first_build": first_build})
    published = published_unit(work.documents, job)
    return job if published is None else job.model_copy(update={"rebuild": published.rebuild})


def after_build(work: UnitOfWork, job: JobRecord) -> JobRecord:
    """Returns a job whose attempt has succeeded: finished, queued for another build, or failed because its packages
    have the version of published ones."""
    if job.outcome is not Outcome.SUCCESS:
        return job
    built = _built(job)
    job = job.model_copy(update={"rebuild": built, "source_version": job.source_version or built.built_version})
    verdict = _check(work.documents, job, built)
    if verdict.conflict:
        return transitions.fail_published_version(job, verdict.conflict)
    if verdict.rebuild is None:
        return job
    _reserve(work, job, built, verdict.rebuild)
    reason = f"its packages differ from those published as {built.built_version}"
    return transitions.build_again(job, verdict.rebuild, f"{reason}: built again as {verdict.rebuild.built_version}")


def describe(documents: Documents, published: PublishedPackages, job: JobRecord) -> JobRecord:
    """Returns a good job that is published with the version that it replaces, and a note about each package whose
    version goes down. `published`: the packages as they are published before the job."""
    unit = published_unit(documents, job)
    if unit is not None and unit.sequence > job.sequence:
        return job
    lower = []
    for package in (artifact.package for artifact in job.artifacts if artifact.package is not None):
        newest = published.newest(documents, job.target.name, package.name)
        before = newest.artifact.package if newest is not None and newest.source == job.source else None
        if before is not None and versions.is_lower(package.version, before.version):
            lower.append(f"{package.name} {before.version} → {package.version}")
    notes = (*job.notes, _lower_note(lower)) if lower else job.notes
    replaced = unit.rebuild.built_version if unit is not None else ""
    return job.model_copy(update={"replaced_version": replaced, "notes": notes})


def save(work: UnitOfWork, job: JobRecord) -> None:
    """Stores the versions of a good job that is published, unless a newer request has published the unit already."""
    published = published_unit(work.documents, job)
    if published is not None and published.sequence > job.sequence:
        return
    built = _built(job)
    unit = PublishedUnit(rebuild=built, revision=job.revision, sequence=job.sequence)
    work.documents.put(UNITS, _unit_key(job), CachedJson(unit), parent=job.source)
    for artifact in _packages(job):
        assert artifact.package is not None
        entry = PublishedVersion(
            version=artifact.package.version,
            architecture=artifact.package.architecture,
            sha256=artifact.sha256,
            unit=job.unit,
            rebuild=built,
        )
        before = _versions(work.documents, job, artifact.package.name)
        if entry not in before.versions:
            key = _package_key(job, artifact.package.name)
            work.documents.put(VERSIONS, key, CachedJson(versions.add_version(before, entry)), parent=job.source)


def remove_units(work: UnitOfWork, source: SourceName, units: Collection[UnitPath]) -> None:
    """Removes the newest builds of units that the followed branch no longer has. Their versions stay known."""
    keys = [key for key, _ in work.documents.find(UNITS, parent=source)] if units else []
    for key in keys:
        if key.removeprefix(f"{source}:").rpartition(":")[0] in units:
            work.documents.delete(UNITS, key)


def _check(documents: Documents, job: JobRecord, built: Rebuild) -> VersionVerdict:
    """Returns what follows for the packages of a job. Nothing, if a newer request has published the unit: then the job
    is not published."""
    published = published_unit(documents, job)
    if job.repository is None or (published is not None and published.sequence > job.sequence):
        return VersionVerdict()
    reserved = ReservedNumber.model_validate(documents.get(NUMBERS, _number_key(job)) or {})
    lookups = VersionLookups(partial(_versions, documents, job), reserved)
    return versions.check(_packages(job), built, job.unit, job.sequence, lookups)


def _reserve(work: UnitOfWork, job: JobRecord, built: Rebuild, rebuild: Rebuild) -> None:
    number = ReservedNumber(version=rebuild.version, number=rebuild.number, sequence=job.sequence)
    work.documents.put(NUMBERS, _number_key(job), CachedJson(number), parent=job.source)
    extra = {"job": job.job_id, "version": built.built_version, "next": rebuild.built_version}
    _LOG.info("contents-changed", extra=extra)


def _built(job: JobRecord) -> Rebuild:
    """Returns the source version and rebuild number of a job's packages."""
    packages = _packages(job)
    first = packages[0].package if packages else None
    version = job.source_version or (first.version if first is not None else "")
    return versions.built_from(version, job.rebuild, job.rebuild_suffix)


def _packages(job: JobRecord) -> list[Artifact]:
    """Returns the binary packages. The builder does not describe udebs, which no build uses: their names do."""
    return [artifact for artifact in map(_described, job.artifacts) if artifact.package is not None]


def _described(artifact: Artifact) -> Artifact:
    if artifact.kind is not ArtifactKind.UDEB or artifact.package is not None:
        return artifact
    name, version, architecture = (*artifact.name.removesuffix(".udeb").split("_"), "", "")[:3]
    package = BinaryPackage(name=name, version=version, architecture=architecture)
    return artifact.model_copy(update={"package": package})


def _versions(documents: Documents, job: JobRecord, package: str) -> PublishedVersions:
    body = documents.get(VERSIONS, _package_key(job, package))
    return PublishedVersions() if body is None else PublishedVersions.model_validate(body)


def _unit_key(job: JobRecord) -> str:
    return f"{job.source}:{job.unit}:{job.target.name}"


def _package_key(job: JobRecord, package: str) -> str:
    return f"{job.source}:{job.target.name}/{package}"


def _number_key(job: JobRecord) -> str:
    return f"{job.source}:{job.unit}:{job.target.dist}"


def _lower_note(lower: list[str]) -> str:
    return f"the version goes down: {first_few(lower, 5)}; machines with the higher version keep it"
