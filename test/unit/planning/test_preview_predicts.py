"""The preview predicts the outcome of each job, over random trees, changes and requests.

Some changes do not change the package: the unit is built again with an equal result, so that its dependants are
unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.events import PlanVerdict, RequestAccepted
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import Unit
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.inputs.inputs import dependencies, input_key, inputs_of, reuse_result
from cloud_builder.planning.preview.model import LastBuild, PlanLookups
from cloud_builder.planning.preview.preview import preview
from cloud_builder.planning.records import BuildResult, JobRecord
from cloud_builder.planning.request.expand import expand
from support import factories
from support.factories import deb


@dataclass
class Tree:
    """A tree of units, u0 first; each needs some of those before it."""

    needs: list[set[int]]
    tree: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    """For each unit: how often its own output changed."""
    built: dict[str, BuildResult] = field(default_factory=dict)
    last: dict[str, LastBuild] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.tree, self.output = [0] * len(self.needs), [0] * len(self.needs)

    def change(self, number: int, *, changes_output: bool) -> None:
        self.count += 1
        self.tree[number] = self.count
        self.output[number] += changes_output

    def units(self) -> list[Unit]:
        return [
            factories.unit(
                f"u{number}", ", ".join(f"u{need}" for need in sorted(needs)), tree=f"tree {self.tree[number]}"
            )
            for number, needs in enumerate(self.needs)
        ]

    def jobs(self, requested: set[int], dependants: bool) -> list[JobRecord]:
        self.count += 1
        units = tuple(f"p/u{number}" for number in sorted(requested))
        about = {"request_id": f"q{self.count}", "source": "s", "ref": "main", "revision": "a", "accepted_at": 1.0}
        request = RequestAccepted.model_validate({**about, "units": units, "dependants": dependants})
        return expand(request, build_graph([SourceSnapshot("s", Origin("u", "a"), self.units())]), self.count)

    def planned(self, jobs: list[JobRecord]) -> dict[str, PlanVerdict]:
        lookups = PlanLookups(
            lambda job, key: self.built.get(key), lambda target, name: (), lambda job: self.last.get(job.unit), {}.get
        )
        return {line.unit: line.verdict for line in preview(jobs, lookups)[0]}

    def run(self, jobs: list[JobRecord]) -> dict[str, Outcome]:
        """Builds the jobs one after the other, as the scheduler does. Returns the outcome of each unit."""
        done: dict[str, JobRecord] = {}
        artifacts = RequestArtifacts(done)
        for job in jobs:
            uses = dependencies(job, artifacts, lambda name: ())
            key = input_key(job, inputs_of(job, uses.used))
            if key in self.built:
                ended = reuse_result(job, self.built[key])
            else:
                self.built[key] = built = BuildResult(job_id=job.job_id, artifacts=(self._output(job, uses.artifacts),))
                self.last[job.unit] = LastBuild(inputs=inputs_of(job, uses.used))
                ended = transitions.reuse(job, built).model_copy(update={"outcome": Outcome.SUCCESS})
            done[job.job_id] = ended
            artifacts.add(ended)
        return {job.unit: job.outcome for job in done.values() if job.outcome is not None}

    def _output(self, job: JobRecord, uses: tuple[Artifact, ...]) -> Artifact:
        """The output of every second unit contains the digests of its dependencies."""
        number = int(job.name[1:])
        inside = [artifact.sha256 for artifact in uses] if number % 2 else []
        return deb(job.name, content=f"{self.output[number]} {inside}")


@st.composite
def trees(draw_: st.DrawFn) -> Tree:
    size = draw_(st.integers(2, 7))
    return Tree(
        [draw_(st.sets(st.integers(0, max(0, n - 1)), max_size=min(n, 3))) if n else set() for n in range(size)]
    )


@settings(max_examples=60, deadline=None)
@given(trees(), st.data())
def test_preview_predicts_the_outcome_of_each_job(source: Tree, data: st.DataObject) -> None:
    numbers = st.integers(0, len(source.needs) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        for number in data.draw(st.sets(numbers, max_size=3)):
            source.change(number, changes_output=data.draw(st.booleans()))
        jobs = source.jobs(data.draw(st.sets(numbers, min_size=1)), data.draw(st.booleans()))
        planned = source.planned(jobs)
        outcomes = source.run(jobs)
        assert planned.keys() == outcomes.keys()
        for unit, verdict in planned.items():
            match verdict:
                case PlanVerdict.BUILD:
                    assert outcomes[unit] is Outcome.SUCCESS, f"{unit} was predicted to be built"
                case PlanVerdict.REUSED:
                    assert outcomes[unit] is Outcome.REUSED
                case PlanVerdict.UNCHANGED:
                    assert outcomes[unit] is Outcome.SKIPPED
