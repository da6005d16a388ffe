"""Dependency cycles: rounds, the build profiles of the first round, and unbreakable cycles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot, build_graph
from cloud_builder.planning.request.expand import BuildHistory, expand
from cloud_builder.planning.request.outcome import unstable_members
from support import factories
from support.factories import deb


def unit(name, build_depends="", **more):
    return factories.unit(name, build_depends, path=name, **more)


def jobs(units, *requested, published=(), rounds=3, is_published=None, dependants=False):
    fields = {
        "dependants": dependants,
        "request_id": "r",
        "source": "s",
        "ref": "main",
        "revision": "a" * 40,
        "accepted_at": 1.0,
    }
    request = RequestAccepted(units=requested or tuple(each.path for each in units), **fields)
    history = BuildHistory(is_published=is_published or (lambda target, alternative: alternative.name in published))
    return expand(request, build_graph([SourceSnapshot("s", Origin("", "a" * 40), units)]), 1, history, rounds=rounds)


def plan(*args, **more):
    """Returns a row for each job: its unit with the round, its profiles, its needs."""
    found = jobs(*args, **more)
    names = {job.job_id: f"{job.unit}{job.round or ''}" for job in found}
    return [(names[job.job_id], *job.profiles, [names[need] for need in job.needs]) for job in found]


PAIR = [unit("a", "b"), unit("b", "a")]


def test_cycle_is_built_with_published_packages_and_then_with_itself():
    units = [*PAIR, unit("base"), unit("top", "a")]
    units[0] = unit("a", "b, base")
    assert plan(units, "top", published=("a", "b"), rounds=2) == [
        ("base", []), ("a1", ["base"]), ("b1", []), ("a2", ["b1", "base"]), ("b2", ["a2"]), ("top", ["a2"]),
    ]  # fmt: skip


def test_published_version_that_is_too_old_does_not_break_a_cycle():
    newer = [unit("a", "b (>= 2) <!nocheck>", version="2"), unit("b", "a (>= 2)", version="2")]
    assert plan(newer, published=("a", "b"), rounds=1)[0] == ("a1", [])
    assert plan(newer, is_published=lambda target, alternative: alternative.fits("1"))[0][:2] == ("a1", "nocheck")


def test_only_the_last_round_is_published():
    published = {f"{job.unit}{job.round}": job.publish for job in jobs(PAIR, published=("a", "b"))}
    assert [name for name, publish in published.items() if publish] == ["a3", "b3"]


def test_member_does_not_wait_for_published_packages():
    assert plan(PAIR, published=("a",), rounds=2)[:2] == [("b1", []), ("a1", ["b1"])]


@pytest.mark.parametrize(
    ("a", "b", "first"),
    [
        ("b <!nocheck>", "a", [("a1", "nocheck", []), ("b1", ["a1"])]),
        ("b <!stage1>", "a", [("a1", "stage1", []), ("b1", ["a1"])]),
        ("b", "a <!stage1> <!nodoc>", [("b1", "nodoc", "stage1", []), ("a1", ["b1"])]),
        ("b <!nodoc>", "a <!nocheck>", [("b1", "nocheck", []), ("a1", ["b1"])]),
        ("b <!stage1>", "a <!stage1>", [("b1", "stage1", []), ("a1", ["b1"])]),
    ],
)
def test_bootstrap_uses_the_cheapest_profile_for_the_fewest_members(a, b, first):
    found = plan([unit("a", a), unit("b", b)], rounds=1)
    leading, following = first[0][0][0], first[1][0][0]
    assert found == [*first, (f"{leading}2", [f"{following}1"]), (f"{following}2", [f"{leading}2"])]


@pytest.mark.parametrize(
    "units", [PAIR, [unit("a", "b <!cross>"), unit("b", "a")], [unit("a", depends=("b",)), unit("b", "a")]]
)
def test_unbreakable_cycle_is_rejected_with_its_members(units):
    with pytest.raises(Rejected, match="a, b") as caught:
        plan([*units, unit("top", "a")], "top")
    assert caught.value.code == "dependency-cycle"


def test_rejection_names_the_cycle_that_the_requested_units_need():
    units = [unit("a", "b, x"), unit("b", "a"), unit("x", "y"), unit("y", "z"), unit("z", "y")]
    with pytest.raises(Rejected, match="y, z"):
        plan(units, "x", dependants=True)


def test_requested_unit_beside_an_unbreakable_cycle_is_built():
    assert plan([*PAIR, unit("alone")], "alone") == [("alone", [])]


def codes(units, *requested, **more):
    """Returns a row for each job: its unit, its code, its needs."""
    found = jobs(units, *requested, **more)
    names = {job.job_id: job.unit for job in found}
    return [(job.unit, job.code, [names[need] for need in job.needs]) for job in found]


CYCLE = "dependency-cycle"


@pytest.mark.parametrize(
    ("units", "requested", "expected"),
    [
        ([*PAIR, unit("top", "a"), unit("alone")], ("top", "alone"),
         [("a", CYCLE, []), ("alone", "", []), ("b", CYCLE, []), ("top", "", ["a"])]),
        ([unit("a", "b, base"), unit("b", "a"), unit("base"), unit("alone")], ("a", "alone"),
         [("alone", "", []), ("a", CYCLE, []), ("b", CYCLE, [])]),
        ([unit("a", "b, base"), unit("b", "a"), unit("base"), unit("alone", "base")], ("a", "alone"),
         [("base", "", []), ("a", CYCLE, []), ("b", CYCLE, []), ("alone", "", ["base"])]),
        ([unit("c", "b"), unit("a", "b"), unit("b", "a, c <!nocheck>"), unit("x")], (),
         [("a", CYCLE, []), ("b", CYCLE, []), ("c", "", ["a", "b"]), ("x", "", [])]),
        ([*PAIR, unit("c", "d"), unit("d", "c"), unit("e", "a, c")], ("e", "x"), None),
        ([*PAIR, unit("c", "d <!nocheck>"), unit("d", "c, a"), unit("x")], ("d", "x"),
         [("a", CYCLE, []), ("b", CYCLE, []), ("x", "", []),
          ("c", "", []), ("d", "", ["a", "c"]), ("c", "", ["d"]), ("d", "", ["a", "c"])]),
    ],
    ids=["a dependant", "a need of the cycle alone", "a need of other units, too", "a member that a profile separates",
         "two cycles", "a cycle that needs an unbreakable one"],
)  # fmt: skip
def test_only_members_and_dependants_of_unbreakable_cycles_are_not_built(units, requested, expected):
    if expected is None:
        with pytest.raises(Rejected, match="a, b"):
            codes(units, *requested)
        return
    assert sorted(codes(units, *requested, rounds=1)) == sorted(expected)


def test_unbuildable_job_names_the_cycle_and_how_to_break_it():
    [a] = [job for job in jobs([*PAIR, unit("alone")]) if job.unit == "a"]
    assert (a.state, a.outcome, a.publish) == (JobState.FINISHED, Outcome.FAILURE, False)
    assert a.message == "units build-depend on each other, and none of them is published: a, b"
    assert "<!stage1>" in a.hint and "published once" in a.hint


def test_push_builds_its_units_when_some_dependants_are_unbuildable():
    units = [unit("lib"), unit("a", "b, lib"), unit("b", "a"), unit("app", "lib"), unit("top", "a")]
    fields = {"request_id": "r", "source": "s", "ref": "main", "revision": "a" * 40, "accepted_at": 1.0}
    push = RequestAccepted(units=("lib",), dependants=True, **fields)
    found = expand(push, build_graph([SourceSnapshot("s", Origin("", "a" * 40), units)]), 1)
    assert [(job.unit, job.code) for job in found] == [
        ("lib", ""), ("a", CYCLE), ("b", CYCLE), ("app", ""), ("top", "")
    ]  # fmt: skip


def built(name, job_round, content):
    [job] = [job for job in jobs(PAIR, published=("a", "b")) if (job.unit, job.round) == (name, job_round)]
    finished = {"state": JobState.FINISHED, "outcome": Outcome.SUCCESS, "artifacts": (deb(name, content=str(content)),)}
    return job.model_copy(update=finished)


def test_member_that_changes_in_the_last_round_is_unstable():
    stable = [built("a", job_round, 1) for job_round in (1, 2, 3)]
    assert unstable_members([*stable, built("b", 2, 1), built("b", 3, 2)]) == ["b"]
    assert unstable_members([*stable, built("b", 1, 1), built("b", 2, 2), built("b", 3, 2)]) == []


TERMS = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "", " <!nocheck>", " <!stage1>"])).map("".join)
UNITS = st.lists(st.lists(TERMS, max_size=3).map(", ".join), min_size=1, max_size=6).map(
    lambda needs: [unit(name, each) for name, each in zip("abcdef", needs, strict=False)]
)


@given(UNITS, st.sets(st.sampled_from("abcdef")), st.randoms(use_true_random=False))
def test_jobs_come_after_their_needs_in_any_cycles_and_order_of_units(units, published, chance):
    def result(units):
        try:
            return plan(units, published=published)
        except Rejected as error:
            return error.message

    shuffled = chance.sample(units, len(units))
    assert result(units) == result(shuffled)
    if isinstance(result(units), list):
        seen, unbuildable = set(), set()
        for job in jobs(units, published=published):
            assert set(job.needs) <= seen
            seen.add(job.job_id)
            if job.code or unbuildable.intersection(job.needs):
                unbuildable.add(job.job_id)
        assert seen > unbuildable
