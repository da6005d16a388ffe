"""The values of a preview: lookups that it reads, and the previewed job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cloud_builder.model.events import PlanVerdict
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import InputKey, JobId
from cloud_builder.model.inputs import Inputs
from cloud_builder.planning.records import BuildResult, JobRecord, PublishedPackage, RunnerRecord


class LastBuild(LenientModel):
    """The last good build of a unit for a target."""

    seconds: float = 0.0
    inputs: Inputs | None = None
    """None: not known."""
    job_id: JobId | None = None


@dataclass(frozen=True)
class PlanLookups:
    """The facts that a preview reads."""

    built: Callable[[JobRecord, InputKey], BuildResult | None]
    """The result of an input key that was built before, if the job may reuse it."""
    published: Callable[[str, str], Iterable[PublishedPackage]]
    """(target, name) → published packages, see `inputs.dependencies`."""
    last: Callable[[JobRecord], LastBuild | None]
    """The last build of the job's unit for its target."""
    building: Callable[[InputKey], JobId | None]
    """The open job that builds the input key."""
    runners: Sequence[RunnerRecord] = ()


@dataclass(frozen=True)
class PreviewedJob:
    """A job with the preview's verdict."""

    result: JobRecord
    """The job's record, with its artifacts if they are known."""
    verdict: PlanVerdict
    why: str
    from_job: JobId | None = None
    """The job whose result is reused, or that builds the same input key at the moment."""
    seconds: float | None = None
    """Duration of the last build; None: it was never built."""

    @property
    def is_uncertain(self) -> bool:
        """True when the artifacts of the job are not known before it is built."""
        return self.verdict in (PlanVerdict.BUILD, PlanVerdict.MAYBE)
