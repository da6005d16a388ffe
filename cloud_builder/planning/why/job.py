"""The cause of a job, in whatever state it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cloud_builder.model.outcome import JobState
from cloud_builder.model.text import duration

from . import input_diff
from .cause import Cause, CauseKind, Detail
from .facts import FactSource, JobFacts
from .finished import why_ended
from .formatting import ago, comma_list, within
from .queue_position import expected_seconds
from .waiting import why_waiting


def why_job(job: JobFacts, known: FactSource, now: float) -> Cause:
    """Why it waits, is built, was not built, or did not succeed; with what began it."""
    return _Why(known, now).of(job)


@dataclass(frozen=True)
class _Why:
    known: FactSource
    now: float

    def of(self, job: JobFacts) -> Cause:
        cause = self._cause(job)
        because = cause.because or input_diff.differences(job, self.known)
        reasons = () if cause.kind in (CauseKind.REUSED, CauseKind.UNCHANGED) else input_diff.details(because)
        details = (*cause.details, *reasons, *input_diff.triggered_by(job, self.known, self.now))
        about = {"job_id": job.job_id, "request_id": job.request_id, "source": job.source, "unit": job.unit}
        state = str(job.outcome or job.state)
        told = {"target": job.target.name, "state": state, "because": because, "details": details}
        return cause.model_copy(update={**about, **told})

    def _cause(self, job: JobFacts) -> Cause:
        if job.is_finished:
            return why_ended(job, self.known, self.now, self.of)
        if job.state is JobState.RUNNING:
            return self._building(job)
        return why_waiting(job, self.known, self.now, self.of)

    def _building(self, job: JobFacts) -> Cause:
        found = input_diff.differences(job, self.known)
        details = (*self._where(job), *self._silent(job), *input_diff.last_success(job, self.known, self.now))
        return Cause(
            kind=CauseKind.BUILDING,
            answer=f"being built, because: {input_diff.summary(found) or 'what changed was not told'}",
            details=details,
            because=found,
            next=f"cb-ctl logs {job.job_id} -f",
        )

    def _where(self, job: JobFacts) -> tuple[Detail, ...]:
        """On which runner, and until when."""
        seconds = expected_seconds(job, self.known)
        end = job.started_at + seconds
        soon = f"ends {within(end, self.now)}" if math.isfinite(seconds) else "it was never built before"
        if self.now > end + seconds:
            soon = f"it took {duration(seconds)} the last time"
        line = comma_list(f"on {job.runner_id}, attempt {job.attempt}", f"begun {ago(job.started_at, self.now)}", soon)
        return (Detail(label="where", lines=(line,)),)

    def _silent(self, job: JobFacts) -> tuple[Detail, ...]:
        """That its runner was not heard of for a while: it may have died."""
        runner = next((one for one in self.known.runners() if one.runner_id == job.runner_id), None)
        if runner is None or runner.state != "silent":
            return ()
        told = (
            f"{runner.runner_id} was last heard of {ago(runner.at, self.now)}: it loses the job when its lease is over"
        )
        return (Detail(label="silent", lines=(told,)),)
