"""The preview: a verdict for each input that can have changed, and `maybe` for jobs with uncertain needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from cloud_builder.model.events import PlannedJob, PlanTotals, PlanVerdict
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.inputs.inputs import dependencies, input_key, inputs_of
from cloud_builder.planning.preview.model import LastBuild, PlanLookups
from cloud_builder.planning.preview.preview import preview
from cloud_builder.planning.records import BuildResult, JobRecord, RunnerRecord
from support import factories
from support.factories import runner

BUILD, MAYBE, REUSED, UNCHANGED = PlanVerdict.BUILD, PlanVerdict.MAYBE, PlanVerdict.REUSED, PlanVerdict.UNCHANGED


def job(number: int, name: str, *needs: str, **more: Any) -> JobRecord:
    """A job of the request `q`. `needs`: names of other jobs, which are numbered as in `chain`."""
    numbers = {"lib": 1, "tool": 2, "card": 3, "other": 4}
    about: dict[str, Any] = {
        "unit": f"p/{name}",
        "name": name,
        "source": "demo",
        "tree": f"tree of {name}",
        "build_depends": ", ".join(needs),
        "buildroot": "root",
        "repositories": "state",
        "needs": tuple(f"q.{numbers[need]}" for need in needs),
        "is_requested": False,
        "state": JobState.BLOCKED,
        "input_key": None,
    }
    return factories.job(number, request="q", **{**about, **more})


def chain(**more: dict[str, Any]) -> list[JobRecord]:
    """lib ← tool ← card, and other, which needs lib; lib is requested."""
    return [
        job(1, "lib", **{"is_requested": True, **more.get("lib", {})}),
        job(2, "tool", "lib", **more.get("tool", {})),
        job(3, "card", "tool", **more.get("card", {})),
        job(4, "other", "lib", **more.get("other", {})),
    ]


class Builds:
    """Earlier builds: `after(jobs)` builds all jobs, each in its number times ten seconds."""

    def __init__(self) -> None:
        self.built: dict[str, BuildResult] = {}
        self.last: dict[str, LastBuild] = {}
        self.building: dict[str, str] = {}
        self.runners: list[RunnerRecord] = []

    def after(
        self, jobs: list[JobRecord], outputs: str = "", depends: Mapping[str, str] = MappingProxyType({})
    ) -> Builds:
        """`depends`: name → what its package depends on at run time."""
        done: dict[Any, JobRecord] = {}
        artifacts = RequestArtifacts(done)
        for each in jobs:
            uses = dependencies(each, artifacts, lambda name: ())
            inputs = inputs_of(each, uses.used)
            key = input_key(each, inputs)
            content = f"{each.tree} {outputs}"
            deb = factories.deb(each.name, content=content, depends=depends.get(each.name, ""))
            built = BuildResult(job_id=f"old.{each.number}", artifacts=(deb,), seconds=each.number * 10)
            self.built[key] = built
            self.last[each.unit] = LastBuild(seconds=each.number * 10, inputs=inputs, job_id=built.job_id)
            done[each.job_id] = transitions.reuse(each, built)
            artifacts.add(done[each.job_id])
        return self

    def preview(self, jobs: list[JobRecord]) -> tuple[list[PlannedJob], PlanTotals]:
        lookups = PlanLookups(
            built=lambda job, key: self.built.get(key),
            published=lambda target, name: (),
            last=lambda job: self.last.get(job.unit),
            building=self.building.get,  # type: ignore[arg-type]
            runners=self.runners,
        )
        return preview(jobs, lookups)


def verdicts(lines: list[PlannedJob]) -> list[PlanVerdict]:
    return [line.verdict for line in lines]


def test_everything_is_built_when_nothing_was_built_before() -> None:
    lines, totals = Builds().preview(chain())
    assert verdicts(lines) == [BUILD] * 4
    assert {line.why for line in lines} == {"never built"}
    assert (totals.jobs, totals.build, totals.never_built, totals.work) == (4, 4, 4, 0.0)


def test_nothing_is_built_when_nothing_changed() -> None:
    lines, totals = Builds().after(chain()).preview(chain())
    assert verdicts(lines) == [REUSED, UNCHANGED, UNCHANGED, UNCHANGED], "only lib is requested"
    assert [line.job_id for line in lines] == ["old.1", "old.2", "old.3", "old.4"]
    assert (totals.build, totals.maybe, totals.makespan) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tree": "new"}, "its files changed"),
        ({"buildroot": "new"}, "its build_root.kiwi changed"),
        ({"repositories": "new"}, "the package repositories of its build root changed"),
        ({"profiles": ("nocheck",)}, "built with other build profiles"),
        ({"build_options": ("noopt",)}, "built with other build options"),
        ({"tree": "new", "buildroot": "new"}, "its files changed; its build_root.kiwi changed"),
    ],
)
def test_changed_unit_names_the_change_and_its_dependants_are_maybe(change: dict[str, Any], why: str) -> None:
    lines, totals = Builds().after(chain()).preview(chain(lib=change))
    assert verdicts(lines) == [BUILD, MAYBE, MAYBE, MAYBE]
    assert lines[0].why == why
    assert lines[1].why == "only if p/lib differs from its last build"
    assert lines[2].why == "only if p/tool differs from its last build"
    assert (totals.work, totals.most_work) == (10.0, 100.0)
    assert (totals.critical_path, totals.most_critical_path) == (10.0, 60.0)


def test_dependant_that_changed_itself_is_built() -> None:
    lines, _ = Builds().after(chain()).preview(chain(lib={"tree": "new"}, card={"tree": "new"}))
    assert verdicts(lines) == [BUILD, MAYBE, BUILD, MAYBE]
    assert lines[2].why == "its files changed"


def test_dependency_that_differs_from_the_last_build_is_named() -> None:
    builds = Builds().after(chain())
    builds.after(chain(lib={"tree": "new"})[:1])
    lines, _ = builds.preview(chain(lib={"tree": "new"}))
    assert verdicts(lines) == [REUSED, BUILD, MAYBE, BUILD]
    assert lines[1].why == "lib changed"
    assert lines[3].why == "lib changed"


def test_changed_need_makes_a_job_certain_beside_an_uncertain_need() -> None:
    jobs = [*chain()[:2], job(3, "card", "lib", "tool")]
    builds = Builds().after(jobs)
    builds.after(chain(lib={"tree": "new"})[:1])
    lines, _ = builds.preview(
        [job(1, "lib", tree="new"), job(2, "tool", "lib", tree="new"), job(3, "card", "lib", "tool")]
    )
    assert verdicts(lines) == [UNCHANGED, BUILD, BUILD]
    assert lines[2].why == "p/lib changed"


def test_added_and_removed_dependencies_are_named() -> None:
    builds = Builds().after([job(1, "lib"), job(2, "tool", "lib")])
    before, _ = builds.preview([job(1, "lib"), job(2, "tool", build_depends="")])
    assert before[1].why == "no longer builds with lib"
    builds = Builds().after([job(1, "lib"), job(2, "tool")])
    after, _ = builds.preview([job(1, "lib"), job(2, "tool", "lib")])
    assert after[1].why == "now builds with lib"


def test_job_that_is_being_built_names_its_duplicate() -> None:
    builds = Builds()
    lib = chain()[0]
    builds.building[input_key(lib, inputs_of(lib, ()))] = "push.1"
    lines, _ = builds.preview(chain()[:1])
    assert (lines[0].verdict, lines[0].why) == (BUILD, "is being built already, by push.1")


def test_result_that_is_no_longer_stored_is_built_again() -> None:
    builds = Builds().after(chain())
    builds.built.clear()
    lines, _ = builds.preview(chain()[:1])
    assert (lines[0].verdict, lines[0].why) == (BUILD, "the result of its last build is no longer stored")


def test_last_build_without_inputs_is_accepted() -> None:
    builds = Builds()
    builds.last["p/lib"] = LastBuild(seconds=5.0)
    lines, _ = builds.preview(chain()[:1])
    assert (lines[0].why, lines[0].expected_seconds) == ("not built with these inputs yet", 5.0)


def test_level_is_one_more_than_the_highest_level_of_the_needs() -> None:
    lines, _ = Builds().preview(chain())
    assert [(line.number, line.level, line.needs) for line in lines] == [
        (1, 0, ()),
        (2, 1, (1,)),
        (3, 2, (2,)),
        (4, 1, (1,)),
    ]


@pytest.mark.parametrize(("slots", "makespan"), [(1, 100.0), (2, 60.0), (100, 60.0)])
def test_makespan_is_bounded_by_the_longest_chain_and_work_per_slot(slots: int, makespan: float) -> None:
    builds = Builds().after(chain())
    builds.built.clear()
    builds.runners = [runner(slots=slots), runner("r-aarch64", slots=50, arch="aarch64")]
    every = {name: {"tree": "new"} for name in ("lib", "tool", "card", "other")}
    _, totals = builds.preview(chain(**every))
    assert (totals.work, totals.critical_path, totals.slots, totals.makespan) == (100.0, 60.0, slots, makespan)
    assert totals.stuck == ()


def test_makespan_is_bounded_by_the_busiest_pool() -> None:
    arm = {"target": factories.BOOKWORM.model_copy(update={"name": "bookworm.aarch64", "arch": "aarch64"})}
    builds = Builds().after([job(1, "lib"), job(2, "tool", **arm), job(3, "card", **arm)])
    builds.built.clear()
    builds.runners = [runner(slots=50), runner("r-aarch64", slots=1, arch="aarch64")]
    _, totals = builds.preview(
        [job(1, "lib", tree="n"), job(2, "tool", tree="n", **arm), job(3, "card", tree="n", **arm)]
    )
    assert (totals.work, totals.critical_path, totals.slots, totals.makespan) == (60.0, 30.0, 51, 50.0)


def test_requirements_that_no_runner_meets_are_listed() -> None:
    builds = Builds()
    builds.runners = [runner("r-aarch64", slots=1, arch="aarch64")]
    _, totals = builds.preview(chain())
    assert totals.slots == 0
    assert "no live runner for x86_64" in totals.stuck[0]


def test_each_round_of_a_cycle_has_a_verdict() -> None:
    """hen ⇄ egg: egg begins with the profile `stage1`, and both are built again."""
    jobs = [
        job(1, "egg", round=1, profiles=("stage1",), cycle_profiles=("stage1",)),
        job(2, "hen", round=1, needs=("q.1",)),
        job(3, "egg", round=2, needs=("q.2",)),
        job(4, "hen", round=2, needs=("q.1",)),
        job(5, "egg", round=3, needs=("q.4",)),
        job(6, "hen", round=3, needs=("q.3",)),
    ]
    lines, totals = Builds().preview(jobs)
    assert [(line.unit, line.round, line.verdict) for line in lines] == [
        ("p/egg", 1, BUILD),
        ("p/hen", 1, BUILD),
        ("p/egg", 2, MAYBE),
        ("p/hen", 2, BUILD),
        ("p/egg", 3, MAYBE),
        ("p/hen", 3, MAYBE),
    ]
    assert "without the build profiles" in lines[3].why
    assert "only if the round before changes a package" in lines[4].why
    assert totals.cycles == (("p/egg", "p/hen"),)


def test_only_the_first_of_many_needs_are_named() -> None:
    needs = [job(number, f"lib{number}", tree="new") for number in range(1, 8)]
    last = job(8, "card", needs=tuple(need.job_id for need in needs))
    builds = Builds().after([job(number, f"lib{number}") for number in range(1, 8)] + [last])
    lines, _ = builds.preview([*needs, last])
    assert lines[-1].why == "only if p/lib1 or p/lib2 or p/lib3 or one of 4 more differs from its last build"


def test_package_that_a_build_dependency_needs_may_set_off_a_build():
    lines, _ = Builds().after(chain(), depends={"tool": "lib"}).preview(chain(lib={"tree": "new"}))
    assert verdicts(lines) == [BUILD, MAYBE, MAYBE, MAYBE]
    assert lines[2].why == "only if p/tool or p/lib differs from its last build"


def test_first_build_of_a_cycle_names_what_it_begins_with():
    lines, _ = Builds().preview([job(1, "lib", round=1, substituted=("p/tool",))])
    assert lines[0].why == "never built, with the distribution's packages of p/tool"


def test_failed_job_and_its_dependants_cannot_be_built():
    failed = {"state": "finished", "outcome": "failure", "code": "broken-unit", "message": "no field"}
    lines, totals = Builds().after(chain()).preview(chain(tool=failed))
    assert verdicts(lines) == [REUSED, PlanVerdict.CANNOT, PlanVerdict.CANNOT, UNCHANGED]
    assert [line.why for line in lines[1:3]] == ["no field", "needs p/tool, which cannot be built"]
    assert (totals.cannot, totals.most_work) == (2, 0.0)
