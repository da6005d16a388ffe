"""What a request would build, and why, without building it.

In come the jobs of an expanded request in their order, and lookups into what is known; out comes a line a job and the
totals. It goes through the jobs as the scheduler would, with one difference: what a build makes is not known before it
is built. So a job whose needs would be built is

    build   when something else of it has changed, or it was never built
    maybe   when only those needs are new: they may come out as they were, and then it is not touched (cut-off)

A job whose needs stand still has a known input key, and what that led to is what would become of it. One that has
failed already, in a dependency cycle without a way in, `cannot` be built; nor can what needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
_OWN = (
    ("tree", "its files changed"),
    ("buildroot", "its build_root.kiwi changed"),
    ("repositories", "the package repositories of its build root changed"),
    ("profiles", "built with other build profiles"),
    ("recipe", "a newer cb-runner builds otherwise"),
)


def preview(jobs: Sequence[JobRecord], known: PlanLookups) -> tuple[list[PlannedJob], PlanTotals]:
    """`jobs`: each after those it needs, as expand gives them."""
    plan = _Plan(known)
    for job in jobs:
        plan.foresee(job)
    previewed = list(plan.found.values())
    return planned_jobs(previewed), plan_totals(previewed, known.runners)


class _Plan:
    """The jobs so far."""

    def __init__(self, known: PlanLookups) -> None:
        self._known = known
        self.found: dict[JobId, PreviewedJob] = {}
        self._results: dict[JobId, JobRecord] = {}
        self._made = RequestArtifacts(self._results)

    def foresee(self, job: JobRecord) -> None:
        last = self._known.last(job)
        hopeless = [self.found[need] for need in job.needs if self.found[need].verdict is PlanVerdict.CANNOT]
        moving = [self.found[need] for need in job.needs if self.found[need].is_uncertain]
        if job.is_finished or hopeless:
            names = list(dict.fromkeys(each.result.unit for each in hopeless))
            why = job.message or f"needs {named(names, ', ')}, which cannot be built"
            found = PreviewedJob(job, PlanVerdict.CANNOT, why)
        else:
            found = self._by_needs(job, moving, last) if moving else self._by_key(job, last)
        self.found[job.job_id] = found
        self._results[job.job_id] = found.result
        self._made.add(found.result)

    def _by_key(self, job: JobRecord, last: LastBuild | None) -> PreviewedJob:
        """Nothing that it needs would be built."""
        uses = self._uses(job)
        inputs = inputs_of(job, uses.used)
        key = input_key(job, inputs)
        seconds = _seconds(job, last)
        built = self._known.built(key)
        if built is not None:
            result = reuse_result(job, built)
            if result.outcome is Outcome.REUSED:
                return PreviewedJob(
                    result, PlanVerdict.REUSED, "built already with these inputs", built.job_id, seconds
                )
            return PreviewedJob(result, PlanVerdict.UNCHANGED, "its inputs are what they were", built.job_id, seconds)
        other = self._known.building(key)
        if other is not None:
            return PreviewedJob(job, PlanVerdict.BUILD, f"is being built already, by {other}", other, seconds)
        return PreviewedJob(job, PlanVerdict.BUILD, _why(last, inputs), None, seconds)

    def _by_needs(self, job: JobRecord, moving: Sequence[PreviewedJob], last: LastBuild | None) -> PreviewedJob:
        """Something that it needs would be built, or may be."""
        seconds = _seconds(job, last)
        if job.round > 1:
            return self._again(job, seconds)
        if last is None:
            return PreviewedJob(job, PlanVerdict.BUILD, "never built", None, seconds)
        sure = [*_own_changes(last, inputs_of(job, ())), *self._changed_needs(job, last)]
        if sure:
            return PreviewedJob(job, PlanVerdict.BUILD, named(sure, "; "), None, seconds)
        names = list(dict.fromkeys(each.result.unit for each in moving))
        why = f"only if {named(names, ' or ', most='one')} comes out other than it was"
        return PreviewedJob(job, PlanVerdict.MAYBE, why, None, seconds)

    def _again(self, job: JobRecord, seconds: float | None) -> PreviewedJob:
        """A further round of a dependency cycle."""
        told = f"round {job.round} of its cycle"
        if any(self._results[need].profiles for need in job.needs):
            return PreviewedJob(
                job, PlanVerdict.BUILD, f"{told}: without the build profiles of the one before", None, seconds
            )
        why = f"{told}: only if the one before made something new"
        return PreviewedJob(job, PlanVerdict.MAYBE, why, None, seconds)

    def _uses(self, job: JobRecord) -> Dependencies:
        return dependencies(job, self._made, lambda name: self._known.offers(job.target.name, name))

    def _changed_needs(self, job: JobRecord, last: LastBuild) -> Iterator[str]:
        """Needs that would not be built, and are other than those it was built with last."""
        before: dict[tuple[str, str], set[str]] = {}
        for used in last.inputs.dependencies if last.inputs else ():
            before.setdefault((used.source, used.unit), set()).add(used.sha256)
        for need in job.needs:
            found = self.found[need]
            then = before.get((found.result.source, found.result.unit), set())
            if not found.is_uncertain and then - {artifact.sha256 for artifact in found.result.artifacts}:
                yield f"{found.result.unit} changed"


def _seconds(job: JobRecord, last: LastBuild | None) -> float | None:
    return job.expected_seconds or (last.seconds if last else None)


def _why(last: LastBuild | None, inputs: Inputs) -> str:
    if last is None:
        return "never built"
    if last.inputs is None:
        return "not built with these inputs yet"
    changes = [*_own_changes(last, inputs), *_dependency_changes(last.inputs.dependencies, inputs.dependencies)]
    return named(changes, "; ") or "what it made last is not kept"


def _own_changes(last: LastBuild, inputs: Inputs) -> Iterator[str]:
    """Of what the unit itself brings."""
    if last.inputs is not None:
        yield from (said for name, said in _OWN if getattr(last.inputs, name) != getattr(inputs, name))


def _dependency_changes(before: Iterable[UsedArtifact], now: Iterable[UsedArtifact]) -> Iterator[str]:
    old, new = _by_name(before), _by_name(now)
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"now builds with {name}"
        elif name not in new:
            yield f"no longer builds with {name}"
        elif old[name] != new[name]:
            yield f"{name} changed"


def _by_name(used: Iterable[UsedArtifact]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in used:
        found.setdefault(each.name, set()).add(each.sha256)
    return found


def named(names: Sequence[str], between: str, most: str = "") -> str:
    """The first few. `most`: what the others are called in number, `one` of 7 more."""
    rest = len(names) - MAX_NAMES_SHOWN
    more = [f"{most} of {rest} more".strip() if most else f"{rest} more"] if rest > 0 else []
    return between.join([*names[:MAX_NAMES_SHOWN], *more])
