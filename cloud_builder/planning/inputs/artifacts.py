"""What the jobs of one request have made, and which of it a job is built with: what its needs made, and theirs.

Asked for each name that a build's relations lead to, of requests with tens of thousands of jobs; so it is an index that
grows with every job that ends, and who needs whom is kept as bits of one number a job.
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
    """An artifact and the job that made it, in the order in which makings of one name are preferred."""

    is_real: bool
    """A package of that name, and not one that provides it."""
    maker: JobId
    round: int
    artifact: Artifact


class RequestArtifacts:
    """`jobs`: at least those of the request, as they are; looked into when asked. `note` each that has ended."""

    def __init__(self, jobs: Mapping[JobId, JobRecord]) -> None:
        self._jobs = jobs
        self._noted: set[JobId] = set()
        self._makings: dict[str, list[ProducedArtifact]] = defaultdict(list)
        self._needs: dict[JobId, int] = {}

    def add(self, job: JobRecord) -> None:
        """Of a job that is not good, or was noted before, there is nothing to note."""
        if job.job_id in self._noted or not job.is_good:
            return
        self._noted.add(job.job_id)
        for artifact in job.artifacts:
            if (package := artifact.package) is not None:
                self._makings[package.name].append(ProducedArtifact(True, job.job_id, job.round, artifact))
                for name in versions_provided(package.provides).keys() - {package.name}:
                    self._makings[name].append(ProducedArtifact(False, job.job_id, job.round, artifact))

    def find(self, job: JobRecord, alternative: Alternative) -> tuple[Artifact, JobRecord] | None:
        """The artifact that is meant by a relation of the job, or of what it is built with; and its maker.

        A real package is meant before one that provides the name, and of a cycle the last round before the job."""
        makings = self._makings.get(alternative.name)
        if not makings:
            return None
        needs = self._all_needs(job)
        found = [making for making in makings if needs >> self._jobs[making.maker].number & 1]
        if alternative.operator:
            found = [each for each in found if alternative.is_met_by(each.artifact)]
        if not found:
            return None
        best = max(found, key=lambda making: (making.is_real, making.maker))
        unit = self._unit(best.maker)
        best = max(
            (each for each in found if each.is_real == best.is_real and self._unit(each.maker) == unit),
            key=lambda making: (making.round, making.maker),
        )
        return [each for each in found if each[:3] == best[:3]][-1].artifact, self._jobs[best.maker]

    def _unit(self, job_id: JobId) -> tuple[str, str]:
        job = self._jobs[job_id]
        return job.source, job.unit

    def _all_needs(self, job: JobRecord) -> int:
        """The numbers of the jobs that it needs, directly or not, as bits."""
        todo = [job.job_id]
        while todo:
            waiting = [need for need in self._of(todo[-1], job).needs if need not in self._needs]
            if waiting:
                todo += waiting
                continue
            own = todo.pop()
            bits = 0
            for need in self._of(own, job).needs:
                bits |= self._needs[need] | 1 << self._jobs[need].number
            self._needs[own] = bits
        return self._needs[job.job_id]

    def _of(self, job_id: JobId, asked: JobRecord) -> JobRecord:
        return asked if job_id == asked.job_id else self._jobs[job_id]
