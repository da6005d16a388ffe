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
    """The last good build of a unit for a target. `inputs` None: they were not written down."""

    seconds: float = 0.0
    inputs: Inputs | None = None
    job_id: JobId | None = None


@dataclass(frozen=True)
class PlanLookups:
    """Lookups. `offers(target, name)`: see ready.dependencies; `building`: who builds that key now."""

    built: Callable[[InputKey], BuildResult | None]
    offers: Callable[[str, str], Iterable[PublishedPackage]]
    last: Callable[[JobRecord], LastBuild | None]
    building: Callable[[InputKey], JobId | None]
    runners: Sequence[RunnerRecord] = ()


@dataclass(frozen=True)
class PreviewedJob:
    """A job, and what would become of it. `result`: its record, with its artifacts where they are known. `seconds`: as
    long as it took last; None: it was never built."""

    result: JobRecord
    verdict: PlanVerdict
    why: str
    from_job: JobId | None = None
    seconds: float | None = None

    @property
    def is_uncertain(self) -> bool:
        """What it makes is not known."""
        return self.verdict in (PlanVerdict.BUILD, PlanVerdict.MAYBE)
