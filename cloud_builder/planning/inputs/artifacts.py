"""The artifacts of one request, to find those that a job is built with: artifacts of its direct and indirect needs.

`find` is called for each name that the relations of a build lead to, in requests with tens of thousands of jobs.
Therefore an index holds the artifacts and grows with each finished job; the transitive needs of a job are the bits of
one number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import JobId
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.relations import Alternative, versions_provided


class ProducedArtifact(NamedTuple):
    """An artifact that has a package name or provides it, with the job that produced it."""

    is_real: bool
    """The artifact has the name. False: it only provides the name."""
    producer: JobId
    round: int
    artifact: Artifact


class RequestArtifacts:
    """An index of the artifacts of finished jobs, by package name.

    `jobs`: a live view that has at least the jobs of the request. The caller adds each job that has finished."""

    def __init__(self, jobs: Mapping[JobId, JobRecord]) -> None:
        self._jobs = jobs
        self._added: set[JobId] = set()
        self._by_name: dict[str, list[ProducedArtifact]] = defaultdict(list)
        self._needs: dict[JobId, int] = {}
        """Transitive needs of a job: bit n stands for the job with the number n."""

    def add(self, job: JobRecord) -> None:
        """Adds the artifacts of a job; ignores a job that is not good or was added before."""
        if job.job_id in self._added or not job.is_good:
            return
        self._added.add(job.job_id)
        for artifact in job.artifacts:
            if (package := artifact.package) is not None:
                self._by_name[package.name].append(ProducedArtifact(True, job.job_id, job.round, artifact))
                for name in versions_provided(package.provides).keys() - {package.name}:
                    self._by_name[name].append(ProducedArtifact(False, job.job_id, job.round, artifact))

    def find(self, job: JobRecord, alternative: Alternative) -> tuple[Artifact, JobRecord] | None:
        """Returns the artifact that meets an alternative for the job, and the job that produced it.

        The alternative is of a relation of the job, or of a package that the job is built with. A package of that name
        is preferred to one that provides it. In a dependency cycle the last round before the job counts."""
        named = self._by_name.get(alternative.name)
        if not named:
            return None
        needs = self._transitive_needs(job)
        candidates = [artifact for artifact in named if needs >> self._jobs[artifact.producer].number & 1]
        if alternative.operator:
            candidates = [candidate for candidate in candidates if alternative.is_met_by(candidate.artifact)]
        if not candidates:
            return None
        best = max(candidates, key=lambda candidate: (candidate.is_real, candidate.producer))
        unit = self._unit(best.producer)
        best = max(
            (
                candidate
                for candidate in candidates
                if candidate.is_real == best.is_real and self._unit(candidate.producer) == unit
            ),
            key=lambda candidate: (candidate.round, candidate.producer),
        )
        of_best = [candidate for candidate in candidates if candidate[:3] == best[:3]]
        return of_best[-1].artifact, self._jobs[best.producer]

    def _unit(self, job_id: JobId) -> tuple[str, str]:
        job = self._jobs[job_id]
        return job.source, job.unit

    def _transitive_needs(self, job: JobRecord) -> int:
        """Returns the numbers of the jobs that the job needs, directly or not, as bits."""
        todo = [job.job_id]
        while todo:
            missing = [need for need in self._job(todo[-1], job).needs if need not in self._needs]
            if missing:
                todo += missing
                continue
            current = todo.pop()
            bits = 0
            for need in self._job(current, job).needs:
                bits |= self._needs[need] | 1 << self._jobs[need].number
            self._needs[current] = bits
        return self._needs[job.job_id]

    def _job(self, job_id: JobId, current: JobRecord) -> JobRecord:
        """Returns the record of a job; `current` for itself, because `jobs` may not have it yet."""
        return current if job_id == current.job_id else self._jobs[job_id]
