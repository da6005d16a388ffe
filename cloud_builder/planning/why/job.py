"""The cause of a job, in any state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cloud_builder.model.outcome import JobState
from cloud_builder.model.text import duration

from . import input_diff
from .cause import Cause, CauseKind, Detail
from .facts import FactSource, JobFacts
from .finished import why_finished
from .formatting import ago, comma_list, within
from .queue_position import expected_seconds
from .waiting import why_waiting


def why_job(job: JobFacts, facts: FactSource, now: float) -> Cause:
    """Returns why a job waits, is built, was not built, or failed; with the request that it belongs to."""
    return _Why(facts, now).of(job)


def _variant(job: JobFacts) -> tuple[Detail, ...]:
    """Returns the round of a dependency cycle, and the build profiles and options, if the job has any."""
    round_line = f"round {job.round} of its dependency cycle" if job.round else ""
    profiles = f"build profiles {' '.join(job.profiles)}" if job.profiles else ""
    options = f"build options {' '.join(job.build_options)}" if job.build_options else ""
    line = comma_list(round_line, profiles, options)
    return (Detail(label="built as", lines=(line,)),) if line else ()


def _version(job: JobFacts) -> tuple[Detail, ...]:
    """Returns the version that was built, the published one that it replaces, and what a person should know of it."""
    replaces = f"replaces {job.replaced_version}" if job.replaced_version not in ("", job.source_version) else ""
    lines = tuple(line for line in (comma_list(job.source_version, replaces), *job.notes) if line)
    return (Detail(label="version", lines=lines),) if job.source_version and lines else ()


@dataclass(frozen=True)
class _Why:
    facts: FactSource
    now: float

    def of(self, job: JobFacts) -> Cause:
        cause = self._cause(job)
        because = cause.because or input_diff.differences(job, self.facts)
        reasons = () if cause.kind in (CauseKind.REUSED, CauseKind.UNCHANGED) else input_diff.details(because)
        triggers = input_diff.triggered_by(job, self.facts, self.now)
        details = (*_variant(job), *_version(job), *cause.details, *_unverified(job), *reasons, *triggers)
        about = {"job_id": job.job_id, "request_id": job.request_id, "source": job.source, "unit": job.unit}
        state = str(job.outcome or job.state)
        result = {"target": job.target.name, "state": state, "because": because, "details": details}
        return cause.model_copy(update={**about, **result})

    def _cause(self, job: JobFacts) -> Cause:
        if job.is_finished:
            return why_finished(job, self.facts, self.now, self.of)
        if job.state is JobState.RUNNING:
            return self._building(job)
        return why_waiting(job, self.facts, self.now, self.of)

    def _building(self, job: JobFacts) -> Cause:
        changed = input_diff.differences(job, self.facts)
        details = (*self._where(job), *self._silent(job), *input_diff.last_success(job, self.facts, self.now))
        return Cause(
            kind=CauseKind.BUILDING,
            answer=f"being built, because: {input_diff.summary(changed) or input_diff.UNKNOWN_CHANGE}",
            details=details,
            because=changed,
            next=f"cb-ctl logs {job.job_id} -f",
        )

    def _where(self, job: JobFacts) -> tuple[Detail, ...]:
        """Returns the runner, and when the job is expected to end."""
        seconds = expected_seconds(job, self.facts)
        end = job.started_at + seconds
        ends = f"ends {within(end, self.now)}" if math.isfinite(seconds) else "it was never built before"
        if self.now > end + seconds:
            ends = f"it took {duration(seconds)} the last time"
        line = comma_list(
            f"on {job.runner_id}, attempt {job.attempt}", f"started {ago(job.started_at, self.now)}", ends
        )
        return (Detail(label="where", lines=(line,)),)

    def _silent(self, job: JobFacts) -> tuple[Detail, ...]:
        """Returns a detail if the runner of the job is silent: it may have been lost."""
        runner = next((runner for runner in self.facts.runners() if runner.runner_id == job.runner_id), None)
        if runner is None or runner.state != "silent":
            return ()
        line = f"{runner.runner_id} was last seen {ago(runner.at, self.now)}: it loses the job when the lease expires"
        return (Detail(label="silent", lines=(line,)),)


def _unverified(job: JobFacts) -> tuple[Detail, ...]:
    """Returns the repositories from which the job has packages that nobody has verified."""
    if job.inputs is None or not job.inputs.unverified:
        return ()
    line = f'no signature of {", ".join(job.inputs.unverified)} is checked (repository_gpgcheck="false")'
    return (Detail(label="unverified", lines=(line,)),)
