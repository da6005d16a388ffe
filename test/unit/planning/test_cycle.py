"""Units that need each other: rounds, the profiles that they begin with, and when there is no way in."""

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


def jobs(units, *wanted, published=(), rounds=3, is_published=None, dependants=False):
    fields = {
        "dependants": dependants,
        "request_id": "r",
        "source": "s",
        "ref": "main",
        "revision": "a" * 40,
        "accepted_at": 1.0,
    }
    request = RequestAccepted(units=wanted or tuple(each.path for each in units), **fields)
    past = BuildHistory(is_published=is_published or (lambda target, wanted: wanted.name in published))
    return expand(request, build_graph([SourceSnapshot("s", Origin("", "a" * 40), units)]), 1, past, rounds=rounds)


def plan(*args, **more):
    """(unit, round, profiles, what it waits for)"""
    found = jobs(*args, **more)
    names = {job.job_id: f"{job.unit}{job.round or ''}" for job in found}
    return [(names[job.job_id], *job.profiles, [names[need] for need in job.needs]) for job in found]


PAIR = [unit("a", "b"), unit("b", "a")]


def test_a_cycle_is_built_with_what_is_published_and_then_with_itself():
    units = [*PAIR, unit("base"), unit("top", "a")]
    units[0] = unit("a", "b, base")
    assert plan(units, "top", published=("a", "b"), rounds=2) == [
        ("base", []), ("a1", ["base"]), ("b1", []), ("a2", ["b1", "base"]), ("b2", ["a2"]), ("top", ["a2"]),
    ]  # fmt: skip


def test_what_is_published_in_an_older_version_than_is_needed_is_no_way_in():
    newer = [unit("a", "b (>= 2) <!nocheck>", version="2"), unit("b", "a (>= 2)", version="2")]
    assert plan(newer, published=("a", "b"), rounds=1)[0] == ("a1", [])
    assert plan(newer, is_published=lambda target, wanted: wanted.fits("1"))[0][:2] == ("a1", "nocheck")


def test_only_the_last_round_is_published():
    published = {f"{job.unit}{job.round}": job.publish for job in jobs(PAIR, published=("a", "b"))}
    assert [name for name, publish in published.items() if publish] == ["a3", "b3"]


def test_what_is_published_need_not_be_waited_for():
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
def test_at_the_start_of_the_world_the_cheapest_profile_breaks_it_for_as_few_as_will_do(a, b, first):
    found = plan([unit("a", a), unit("b", b)], rounds=1)
    one, other = first[0][0][0], first[1][0][0]
    assert found == [*first, (f"{one}2", [f"{other}1"]), (f"{other}2", [f"{one}2"])]


@pytest.mark.parametrize(
    "units", [PAIR, [unit("a", "b <!cross>"), unit("b", "a")], [unit("a", depends=("b",)), unit("b", "a")]]
)
def test_a_cycle_that_nothing_breaks_is_rejected_with_its_members(units):
    with pytest.raises(Rejected, match="a, b") as caught:
        plan([*units, unit("top", "a")], "top")
    assert caught.value.code == "dependency-cycle"


def test_the_cycle_that_is_named_is_the_one_that_what_was_asked_for_needs():
    units = [unit("a", "b, x"), unit("b", "a"), unit("x", "y"), unit("y", "z"), unit("z", "y")]
    with pytest.raises(Rejected, match="y, z"):
        plan(units, "x", dependants=True)


def test_what_is_asked_for_beside_a_broken_cycle_is_built():
    assert plan([*PAIR, unit("alone")], "alone") == [("alone", [])]


def told(units, *wanted, **more):
    """(unit, its outcome so far, what it waits for)"""
    found = jobs(units, *wanted, **more)
    names = {job.job_id: job.unit for job in found}
    return [(job.unit, job.code, [names[need] for need in job.needs]) for job in found]


CYCLE = "dependency-cycle"


@pytest.mark.parametrize(
    ("units", "wanted", "expected"),
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
    ids=["a dependant", "what only it needs", "what others need, too", "a member beside the circle", "two of them",
         "a cycle that needs one"],
)  # fmt: skip
def test_only_what_is_in_or_needs_a_broken_cycle_cannot_be_built(units, wanted, expected):
    if expected is None:
        with pytest.raises(Rejected, match="a, b"):
            told(units, *wanted)
        return
    assert sorted(told(units, *wanted, rounds=1)) == sorted(expected)


def test_what_cannot_be_built_says_which_cycle_and_what_would_break_it():
    [a] = [job for job in jobs([*PAIR, unit("alone")]) if job.unit == "a"]
    assert (a.state, a.outcome, a.publish) == (JobState.FINISHED, Outcome.FAILURE, False)
    assert a.message == "units build-depend on each other, and nothing of them is published: a, b"
    assert "<!stage1>" in a.hint and "published once" in a.hint


def test_a_push_builds_what_it_changed_though_dependants_of_it_cannot_be():
    units = [unit("lib"), unit("a", "b, lib"), unit("b", "a"), unit("app", "lib"), unit("top", "a")]
    fields = {"request_id": "r", "source": "s", "ref": "main", "revision": "a" * 40, "accepted_at": 1.0}
    push = RequestAccepted(units=("lib",), dependants=True, **fields)
    found = expand(push, build_graph([SourceSnapshot("s", Origin("", "a" * 40), units)]), 1)
    assert [(job.unit, job.code) for job in found] == [
        ("lib", ""), ("a", CYCLE), ("b", CYCLE), ("app", ""), ("top", "")
    ]  # fmt: skip


def made(name, turn, content):
    [job] = [job for job in jobs(PAIR, published=("a", "b")) if (job.unit, job.round) == (name, turn)]
    finished = {"state": JobState.FINISHED, "outcome": Outcome.SUCCESS, "artifacts": (deb(name, content=str(content)),)}
    return job.model_copy(update=finished)


def test_whoever_makes_something_else_in_the_last_round_moves():
    still = [made("a", turn, 1) for turn in (1, 2, 3)]
    assert unstable_members([*still, made("b", 2, 1), made("b", 3, 2)]) == ["b"]
    assert unstable_members([*still, made("b", 1, 1), made("b", 2, 2), made("b", 3, 2)]) == []


TERMS = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "", " <!nocheck>", " <!stage1>"])).map("".join)
WORLDS = st.lists(st.lists(TERMS, max_size=3).map(", ".join), min_size=1, max_size=6).map(
    lambda needs: [unit(name, each) for name, each in zip("abcdef", needs, strict=False)]
)


@given(WORLDS, st.sets(st.sampled_from("abcdef")), st.randoms(use_true_random=False))
def test_in_whatever_circles_each_job_comes_after_its_needs_and_the_order_of_units_is_nothing(units, known, chance):
    def said(world):
        try:
            return plan(world, published=known)
        except Rejected as error:
            return error.message

    shuffled = chance.sample(units, len(units))
    assert said(units) == said(shuffled)
    if isinstance(said(units), list):
        seen, doomed = set(), set()
        for job in jobs(units, published=known):
            assert set(job.needs) <= seen
            seen.add(job.job_id)
            if job.code or doomed.intersection(job.needs):
                doomed.add(job.job_id)
        assert seen > doomed
