"""What would be built, and why: a verdict for each thing that can have changed, and honesty about what is not known."""

from __future__ import annotations

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
    """Needs are named; the units before it are numbered from 1 in the order of `CHAIN`."""
    places = {"lib": 1, "tool": 2, "card": 3, "other": 4}
    about: dict[str, Any] = {
        "unit": f"p/{name}",
        "name": name,
        "source": "demo",
        "tree": f"tree of {name}",
        "build_depends": ", ".join(needs),
        "buildroot": "root",
        "repositories": "state",
        "needs": tuple(f"q.{places[need]}" for need in needs),
        "is_requested": False,
        "state": JobState.BLOCKED,
        "input_key": None,
    }
    return factories.job(number, request="q", **{**about, **more})


def chain(**more: dict[str, Any]) -> list[JobRecord]:
    """lib ← tool ← card, and other, which needs lib; lib is asked for."""
    return [
        job(1, "lib", **{"is_requested": True, **more.get("lib", {})}),
        job(2, "tool", "lib", **more.get("tool", {})),
        job(3, "card", "tool", **more.get("card", {})),
        job(4, "other", "lib", **more.get("other", {})),
    ]


class Past:
    """What was built before: `after(jobs)` builds them all, each in its number times ten seconds."""

    def __init__(self) -> None:
        self.built: dict[str, BuildResult] = {}
        self.last: dict[str, LastBuild] = {}
        self.building: dict[str, str] = {}
        self.runners: list[RunnerRecord] = []

    def after(self, jobs: list[JobRecord], outputs: str = "") -> Past:
        done: dict[Any, JobRecord] = {}
        made = RequestArtifacts(done)
        for each in jobs:
            uses = dependencies(each, made, lambda name: ())
            inputs = inputs_of(each, uses.used)
            key = input_key(each, inputs)
            deb = factories.deb(each.name, content=f"{each.tree} {outputs}")
            built = BuildResult(job_id=f"old.{each.number}", artifacts=(deb,), seconds=each.number * 10)
            self.built[key] = built
            self.last[each.unit] = LastBuild(seconds=each.number * 10, inputs=inputs, job_id=built.job_id)
            done[each.job_id] = transitions.reuse(each, built)
            made.add(done[each.job_id])
        return self

    def draw(self, jobs: list[JobRecord]) -> tuple[list[PlannedJob], PlanTotals]:
        known = PlanLookups(
            built=self.built.get,
            offers=lambda target, name: (),
            last=lambda one: self.last.get(one.unit),
            building=self.building.get,  # type: ignore[arg-type]
            runners=self.runners,
        )
        return preview(jobs, known)


def verdicts(lines: list[PlannedJob]) -> list[PlanVerdict]:
    return [line.verdict for line in lines]


def test_where_nothing_was_built_everything_would_be() -> None:
    lines, totals = Past().draw(chain())
    assert verdicts(lines) == [BUILD] * 4
    assert {line.why for line in lines} == {"never built"}
    assert (totals.jobs, totals.build, totals.never_built, totals.work) == (4, 4, 4, 0.0)


def test_where_nothing_changed_nothing_would_be() -> None:
    lines, totals = Past().after(chain()).draw(chain())
    assert verdicts(lines) == [REUSED, UNCHANGED, UNCHANGED, UNCHANGED], "lib was asked for, the others drawn in"
    assert [line.job_id for line in lines] == ["old.1", "old.2", "old.3", "old.4"]
    assert (totals.build, totals.maybe, totals.makespan) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tree": "new"}, "its files changed"),
        ({"buildroot": "new"}, "its build_root.kiwi changed"),
        ({"repositories": "new"}, "the package repositories of its build root changed"),
        ({"profiles": ("nocheck",)}, "built with other build profiles"),
        ({"tree": "new", "buildroot": "new"}, "its files changed; its build_root.kiwi changed"),
    ],
)
def test_a_changed_unit_says_what_changed_and_what_needs_it_may_be_spared(change: dict[str, Any], why: str) -> None:
    lines, totals = Past().after(chain()).draw(chain(lib=change))
    assert verdicts(lines) == [BUILD, MAYBE, MAYBE, MAYBE]
    assert lines[0].why == why
    assert lines[1].why == "only if p/lib comes out other than it was"
    assert lines[2].why == "only if p/tool comes out other than it was"
    assert (totals.work, totals.most_work) == (10.0, 100.0)
    assert (totals.critical_path, totals.most_critical_path) == (10.0, 60.0)


def test_a_dependant_that_changed_itself_is_certain() -> None:
    lines, _ = Past().after(chain()).draw(chain(lib={"tree": "new"}, card={"tree": "new"}))
    assert verdicts(lines) == [BUILD, MAYBE, BUILD, MAYBE]
    assert lines[2].why == "its files changed"


def test_a_dependency_that_is_other_than_last_time_is_named() -> None:
    past = Past().after(chain())
    past.after(chain(lib={"tree": "new"})[:1])
    lines, _ = past.draw(chain(lib={"tree": "new"}))
    assert verdicts(lines) == [REUSED, BUILD, MAYBE, BUILD]
    assert lines[1].why == "lib changed"
    assert lines[3].why == "lib changed"


def test_a_known_new_need_makes_a_job_certain_although_another_moves() -> None:
    jobs = [*chain()[:2], job(3, "card", "lib", "tool")]
    past = Past().after(jobs)
    past.after(chain(lib={"tree": "new"})[:1])
    lines, _ = past.draw([job(1, "lib", tree="new"), job(2, "tool", "lib", tree="new"), job(3, "card", "lib", "tool")])
    assert verdicts(lines) == [UNCHANGED, BUILD, BUILD]
    assert lines[2].why == "p/lib changed"


def test_new_and_gone_dependencies_are_named() -> None:
    past = Past().after([job(1, "lib"), job(2, "tool", "lib")])
    before, _ = past.draw([job(1, "lib"), job(2, "tool", build_depends="")])
    assert before[1].why == "no longer builds with lib"
    past = Past().after([job(1, "lib"), job(2, "tool")])
    after, _ = past.draw([job(1, "lib"), job(2, "tool", "lib")])
    assert after[1].why == "now builds with lib"


def test_what_is_being_built_already_names_who_builds_it() -> None:
    past = Past()
    lib = chain()[0]
    past.building[input_key(lib, inputs_of(lib, ()))] = "push.1"
    lines, _ = past.draw(chain()[:1])
    assert (lines[0].verdict, lines[0].why) == (BUILD, "is being built already, by push.1")


def test_an_output_that_is_not_kept_is_made_again() -> None:
    past = Past().after(chain())
    past.built.clear()
    lines, _ = past.draw(chain()[:1])
    assert (lines[0].verdict, lines[0].why) == (BUILD, "what it made last is not kept")


def test_old_history_without_inputs_is_enough() -> None:
    past = Past()
    past.last["p/lib"] = LastBuild(seconds=5.0)
    lines, _ = past.draw(chain()[:1])
    assert (lines[0].why, lines[0].expected_seconds) == ("not built with these inputs yet", 5.0)


def test_jobs_of_one_order_can_be_built_side_by_side() -> None:
    lines, _ = Past().draw(chain())
    assert [(line.number, line.level, line.needs) for line in lines] == [
        (1, 0, ()),
        (2, 1, (1,)),
        (3, 2, (2,)),
        (4, 1, (1,)),
    ]


@pytest.mark.parametrize(("slots", "makespan"), [(1, 100.0), (2, 60.0), (100, 60.0)])
def test_no_schedule_beats_the_longest_chain_nor_the_work_for_the_slots(slots: int, makespan: float) -> None:
    past = Past().after(chain())
    past.built.clear()
    past.runners = [runner(slots=slots), runner("r-aarch64", slots=50, arch="aarch64")]
    every = {name: {"tree": "new"} for name in ("lib", "tool", "card", "other")}
    _, totals = past.draw(chain(**every))
    assert (totals.work, totals.critical_path, totals.slots, totals.makespan) == (100.0, 60.0, slots, makespan)
    assert totals.stuck == ()


def test_the_kind_of_runner_with_most_to_do_bounds_the_whole() -> None:
    arm = {"target": factories.BOOKWORM.model_copy(update={"name": "bookworm.aarch64", "arch": "aarch64"})}
    past = Past().after([job(1, "lib"), job(2, "tool", **arm), job(3, "card", **arm)])
    past.built.clear()
    past.runners = [runner(slots=50), runner("r-aarch64", slots=1, arch="aarch64")]
    _, totals = past.draw([job(1, "lib", tree="n"), job(2, "tool", tree="n", **arm), job(3, "card", tree="n", **arm)])
    assert (totals.work, totals.critical_path, totals.slots, totals.makespan) == (60.0, 30.0, 51, 50.0)


def test_what_no_runner_could_take_is_said() -> None:
    past = Past()
    past.runners = [runner("r-aarch64", slots=1, arch="aarch64")]
    _, totals = past.draw(chain())
    assert totals.slots == 0
    assert "no live runner for x86_64" in totals.stuck[0]


def test_rounds_of_a_cycle() -> None:
    """hen ⇄ egg: egg begins with the profile `stage1`, and both are built again."""
    jobs = [
        job(1, "egg", round=1, profiles=("stage1",)),
        job(2, "hen", round=1, needs=("q.1",)),
        job(3, "egg", round=2, needs=("q.2",)),
        job(4, "hen", round=2, needs=("q.1",)),
        job(5, "egg", round=3, needs=("q.4",)),
        job(6, "hen", round=3, needs=("q.3",)),
    ]
    lines, totals = Past().draw(jobs)
    assert [(line.unit, line.round, line.verdict) for line in lines] == [
        ("p/egg", 1, BUILD),
        ("p/hen", 1, BUILD),
        ("p/egg", 2, MAYBE),
        ("p/hen", 2, BUILD),
        ("p/egg", 3, MAYBE),
        ("p/hen", 3, MAYBE),
    ]
    assert "without the build profiles" in lines[3].why
    assert "only if the one before made something new" in lines[4].why
    assert totals.cycles == (("p/egg", "p/hen"),)


def test_many_needs_are_counted() -> None:
    needs = [job(number, f"lib{number}", tree="new") for number in range(1, 8)]
    last = job(8, "card", needs=tuple(need.job_id for need in needs))
    past = Past().after([job(number, f"lib{number}") for number in range(1, 8)] + [last])
    lines, _ = past.draw([*needs, last])
    assert lines[-1].why == "only if p/lib1 or p/lib2 or p/lib3 or one of 4 more comes out other than it was"


def test_what_has_failed_before_it_began_cannot_be_built_nor_what_needs_it():
    closed = {"state": "finished", "outcome": "failure", "code": "dependency-cycle", "message": "in a cycle"}
    lines, totals = Past().after(chain()).draw(chain(tool=closed))
    assert verdicts(lines) == [REUSED, PlanVerdict.CANNOT, PlanVerdict.CANNOT, UNCHANGED]
    assert [line.why for line in lines[1:3]] == ["in a cycle", "needs p/tool, which cannot be built"]
    assert (totals.cannot, totals.most_work) == (2, 0.0)
