"""Previews a request: which jobs would be built, and why, without building them.

*Input:* the jobs of an expanded request in their order, and lookups of builds. *Output:* a verdict for each job, and
the totals. The preview handles the jobs as the scheduler does, with one difference: the artifacts of a build are not
known before it. So a job with needs that would be built is

    build   if it was never built, or one of its other inputs has changed
    maybe   if only those needs are new: they may turn out equal to the last build, and then the job is unchanged

A job whose needs would not be built has a known input key; its verdict is what the scheduler would do with that key. A
job that has already failed, of a broken unit, is `cannot`; so are the jobs that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from cloud_builder.model.events import PlannedJob, PlanTotals, PlanVerdict
from cloud_builder.model.ids import JobId
from cloud_builder.model.inputs import Inputs, UsedArtifact
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.inputs.inputs import Dependencies, dependencies, input_key, inputs_of, reuse_result
from cloud_builder.planning.records import JobRecord

from .model import LastBuild, PlanLookups, PreviewedJob
from .totals import plan_totals, planned_jobs

MAX_NAMES_SHOWN = 3
_CHANGES = (
    ("tree", "its files changed"),
    ("buildroot", "its build_root.kiwi changed"),
    ("repositories", "the package repositories of its build root changed"),
    ("profiles", "built with other build profiles"),
    ("build_options", "built with other build options"),
    ("recipe", "a newer cb-runner builds in another way"),
)


def preview(jobs: Sequence[JobRecord], lookups: PlanLookups) -> tuple[list[PlannedJob], PlanTotals]:
    """Returns the planned jobs and the totals of a request. `jobs`: each after its needs, as `expand` returns them."""
    plan = _Preview(lookups)
    for job in jobs:
        plan.add(job)
    previewed = list(plan.previewed.values())
    return planned_jobs(previewed), plan_totals(previewed, lookups.runners)


class _Preview:
    """The jobs that were previewed so far."""

    def __init__(self, lookups: PlanLookups) -> None:
        self._lookups = lookups
        self.previewed: dict[JobId, PreviewedJob] = {}
        self._newest: dict[tuple[str, str, str], PreviewedJob] = {}
        """(source, unit, target) → its job; of a cycle that of the highest round."""
        self._results: dict[JobId, JobRecord] = {}
        self._artifacts = RequestArtifacts(self._results)

    def add(self, job: JobRecord) -> None:
        """Adds the verdict of a job. Its needs were added before."""
        last = self._lookups.last(job)
        needs = [self.previewed[need] for need in job.needs]
        unbuildable = [need for need in needs if need.verdict is PlanVerdict.CANNOT]
        uncertain = [need for need in (*needs, *self._used_before(job, last)) if need.is_uncertain]
        if job.is_finished or unbuildable:
            names = list(dict.fromkeys(need.result.unit for need in unbuildable))
            why = job.message or f"needs {first_names(names, ', ')}, which cannot be built"
            previewed = PreviewedJob(job, PlanVerdict.CANNOT, why)
        else:
            previewed = self._by_needs(job, uncertain, last) if uncertain else self._by_key(job, last)
        if job.substituted and previewed.verdict is PlanVerdict.BUILD:
            why = f"{previewed.why}, with the distribution's packages of {first_names(job.substituted, ', ')}"
            previewed = replace(previewed, why=why)
        self.previewed[job.job_id] = self._newest[job.source, job.unit, job.target.name] = previewed
        self._results[job.job_id] = previewed.result
        self._artifacts.add(previewed.result)

    def _used_before(self, job: JobRecord, last: LastBuild | None) -> list[PreviewedJob]:
        """Returns the other previewed jobs with a package in the build root of the last build.

        A package that a direct need depends on is there, too; what a build determines (shared libraries) is known
        only from there."""
        used = last.inputs.dependencies if last and last.inputs else ()
        units = dict.fromkeys((each.source, each.unit, job.target.name) for each in used)
        found = [self._newest[unit] for unit in units if unit in self._newest]
        return [each for each in found if each.result.job_id not in job.needs and each.result.unit != job.unit]

    def _by_key(self, job: JobRecord, last: LastBuild | None) -> PreviewedJob:
        """Previews a job whose needs would not be built, by its input key."""
        inputs = inputs_of(job, self._dependencies(job).used)
        key = input_key(job, inputs)
        seconds = _seconds(job, last)
        built = None if job.is_forced else self._lookups.built(job, key)
        if built is not None:
            result = reuse_result(job, built)
            if result.outcome is Outcome.REUSED:
                return PreviewedJob(
                    result, PlanVerdict.REUSED, "built already with these inputs", built.job_id, seconds
                )
            return PreviewedJob(result, PlanVerdict.UNCHANGED, "its inputs have not changed", built.job_id, seconds)
        duplicate = self._lookups.building(key)
        if duplicate is not None:
            return PreviewedJob(job, PlanVerdict.BUILD, f"is being built already, by {duplicate}", duplicate, seconds)
        why = "forced" if job.is_forced else _why(last, inputs)
        return PreviewedJob(job, PlanVerdict.BUILD, why, None, seconds)

    def _by_needs(self, job: JobRecord, uncertain: Sequence[PreviewedJob], last: LastBuild | None) -> PreviewedJob:
        """Previews a job with needs that would be built, or may be."""
        seconds = _seconds(job, last)
        if job.round > 1:
            return self._further_round(job, seconds)
        if last is None:
            return PreviewedJob(job, PlanVerdict.BUILD, "never built", None, seconds)
        if job.is_forced:
            return PreviewedJob(job, PlanVerdict.BUILD, "forced", None, seconds)
        changes = [*_own_changes(last, inputs_of(job, ())), *self._changed_needs(job, last)]
        if changes:
            return PreviewedJob(job, PlanVerdict.BUILD, first_names(changes, "; "), None, seconds)
        names = list(dict.fromkeys(need.result.unit for need in uncertain))
        why = f"only if {first_names(names, ' or ', prefix='one of ')} differs from its last build"
        return PreviewedJob(job, PlanVerdict.MAYBE, why, None, seconds)

    def _further_round(self, job: JobRecord, seconds: float | None) -> PreviewedJob:
        """Previews a job of the second or a later round of a dependency cycle."""
        which = f"round {job.round} of its cycle"
        if any(self._results[need].cycle_profiles for need in job.needs):
            why = f"{which}: without the build profiles of the round before"
            return PreviewedJob(job, PlanVerdict.BUILD, why, None, seconds)
        why = f"{which}: only if the round before changes a package"
        return PreviewedJob(job, PlanVerdict.MAYBE, why, None, seconds)

    def _dependencies(self, job: JobRecord) -> Dependencies:
        return dependencies(job, self._artifacts, lambda name: self._lookups.published(job.target.name, name))

    def _changed_needs(self, job: JobRecord, last: LastBuild) -> Iterator[str]:
        """Yields a change for each need that would not be built, and differs from the one of the last build."""
        digests: dict[tuple[str, str], set[str]] = {}
        for used in last.inputs.dependencies if last.inputs else ():
            digests.setdefault((used.source, used.unit), set()).add(used.sha256)
        for previewed in (*(self.previewed[need] for need in job.needs), *self._used_before(job, last)):
            result = previewed.result
            before = digests.get((result.source, result.unit), set())
            if not previewed.is_uncertain and before - {artifact.sha256 for artifact in result.artifacts}:
                yield f"{result.unit} changed"


def _seconds(job: JobRecord, last: LastBuild | None) -> float | None:
    return job.expected_seconds or (last.seconds if last else None)


def _why(last: LastBuild | None, inputs: Inputs) -> str:
    if last is None:
        return "never built"
    if last.inputs is None:
        return "not built with these inputs yet"
    changes = [*_own_changes(last, inputs), *_dependency_changes(last.inputs.dependencies, inputs.dependencies)]
    return first_names(changes, "; ") or "the result of its last build is no longer stored"


def _own_changes(last: LastBuild, inputs: Inputs) -> Iterator[str]:
    """Yields the changes of the job's inputs other than its dependencies."""
    if last.inputs is not None:
        yield from (change for name, change in _CHANGES if getattr(last.inputs, name) != getattr(inputs, name))


def _dependency_changes(before: Iterable[UsedArtifact], now: Iterable[UsedArtifact]) -> Iterator[str]:
    old, new = _digests_by_name(before), _digests_by_name(now)
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"now builds with {name}"
        elif name not in new:
            yield f"no longer builds with {name}"
        elif old[name] != new[name]:
            yield f"{name} changed"


def _digests_by_name(used: Iterable[UsedArtifact]) -> Mapping[str, set[str]]:
    digests: dict[str, set[str]] = {}
    for artifact in used:
        digests.setdefault(artifact.name, set()).add(artifact.sha256)
    return digests


def first_names(names: Sequence[str], separator: str, prefix: str = "") -> str:
    """Returns the first few names and the number of the others, with `prefix` before it: `a or b or one of 7 more`."""
    rest = len(names) - MAX_NAMES_SHOWN
    more = [f"{prefix}{rest} more"] if rest > 0 else []
    return separator.join([*names[:MAX_NAMES_SHOWN], *more])
