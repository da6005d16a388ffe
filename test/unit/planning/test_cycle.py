"""Dependency cycles: rounds, the build profiles of the first round, and packages of the distribution to begin with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot
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
    ("units", "expected"),
    [
        (PAIR, {"a": ["b"]}),
        ([unit("a", "b <!cross>"), unit("b", "a")], {"a": ["b"]}),
        ([unit("a", depends=("b",)), unit("b", "a")], {"a": ["b"]}),
        ([unit("a", "b, x"), unit("b", "a"), unit("x", "y"), unit("y", "z"), unit("z", "y")],
         {"a": ["b"], "y": ["z"]}),
        ([unit("a", "b, c"), unit("b", "a, c"), unit("c", "a")], {"a": ["b"], "c": ["a"]}),
        ([*PAIR, unit("c", "d <!nocheck>"), unit("d", "c, a")], {"a": ["b"]}),
        ([unit("a", "b"), unit("b", runtime_depends={"b": "c"}), unit("c", "a")], {"a": ["c"]}),
    ],
    ids=["a pair", "a profile that no build chooses", "by a manifest", "two cycles", "three", "beside another one",
         "by a run-time dependency"],
)  # fmt: skip
def test_cycle_without_profiles_begins_with_packages_of_the_distribution(units, expected):
    found = jobs(units, rounds=2)
    assert {job.unit: list(job.substituted) for job in found if job.substituted} == expected
    assert all(job.round == 1 and not job.publish for job in found if job.substituted)


def test_rounds_after_the_first_use_the_packages_of_the_cycle():
    assert plan([*PAIR, unit("top", "a")], "top", rounds=1) == [
        ("a1", []), ("b1", ["a1"]), ("a2", ["b1"]), ("b2", ["a2"]), ("top", ["a2"]),
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
    shuffled = chance.sample(units, len(units))
    assert plan(units, published=published) == plan(shuffled, published=published)
    seen = set()
    for job in jobs(units, published=published):
        assert set(job.needs) <= seen
        seen.add(job.job_id)
