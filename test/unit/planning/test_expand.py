"""Expansion of requests to jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.unit import UNKNOWN_TARGET, DeletedUnit, Problem, Target
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot
from cloud_builder.planning.graph.profiles import with_profiles
from cloud_builder.planning.request.expand import NOTHING_BUILT_WITH_DELETED, BuildHistory, critical_paths, expand
from support import factories
from support.factories import BOOKWORM

TRIXIE = Target(name="trixie.x86_64", dist="trixie", arch="x86_64")


def unit(path, *args, **more):
    return factories.unit(path.split("/")[-1], *args, path=path, **more)


CHAIN = [
    unit("p/lib", provides=("libgreet1", "libgreet-dev")),
    unit("p/tool", "debhelper, libgreet-dev"),
    unit("p/card", "tool"),
    unit("p/alone"),
]


def request(*units, **more):
    fields = {"request_id": "r-1", "source": "s", "ref": "main", "revision": "a" * 40, "accepted_at": 1.0}
    return RequestAccepted(units=units, **{**fields, **more})


def snapshot(units, source="s", revision="a"):
    return SourceSnapshot(source, Origin(f"file:///{source}", revision * 40), units)


def expanded(units, *requested, others=(), history=None, **more):
    return expand(request(*requested, **more), build_graph([snapshot(units), *others]), 1, history)


def plan(units, *requested, **more):
    jobs = expanded(units, *requested, **more)
    names = {job.job_id: job.unit for job in jobs}
    return [(job.unit, [names[need] for need in job.needs]) for job in jobs]


def test_needs_of_a_unit_are_added_and_come_first():
    assert plan(CHAIN, "p/card") == [("p/lib", []), ("p/tool", ["p/lib"]), ("p/card", ["p/tool"])]


def test_only_requested_units_and_their_needs_are_built():
    assert plan(CHAIN, "p/lib", "p/alone") == [("p/alone", []), ("p/lib", [])]


def test_profiles_and_options_of_a_request_are_for_the_units_that_it_names():
    lib = unit("p/lib", provides=("libgreet-dev",), profiles=("nodoc",), build_options=("noopt",))
    more = {"profiles": ("nocheck", "nodoc"), "build_options": ("parallel=1",)}
    jobs = expanded([lib, unit("p/tool", "libgreet-dev")], "p/tool", **more)
    assert [(job.unit, job.profiles, job.build_options) for job in jobs] == [
        ("p/lib", ("nodoc",), ("noopt",)),
        ("p/tool", ("nocheck", "nodoc"), ("parallel=1",)),
    ]
    assert [job.profiles for job in expanded([lib], "p/lib", profiles=("nocheck",))] == [("nocheck", "nodoc")]


def test_profile_of_a_manifest_decides_what_a_unit_needs():
    units = [unit("p/lib"), unit("p/a", "lib <!nocheck>", profiles=("nocheck",)), unit("p/b", "lib <nocheck>")]
    assert plan(units, "p/a", "p/b") == [("p/a", []), ("p/b", [])]
    assert plan([units[0], units[2].model_copy(update={"profiles": ("nocheck",)})], "p/b")[0] == ("p/lib", [])


@pytest.mark.parametrize("most", [200, 0])
def test_profiles_of_a_request_decide_what_the_named_units_need(most: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cloud_builder.planning.graph.profiles.MAX_CHANGED_UNITS", most)
    units = [unit("p/lib"), unit("p/doc"), unit("p/a", "lib <nocheck>, doc <!nocheck>"), unit("p/b", "doc <!nocheck>")]
    graph = build_graph([snapshot(units), snapshot([unit("p/a", "lib <nocheck>")], source="t")])
    found = with_profiles(graph, "s", {"p/a"}, ["nocheck"])
    expected = [units[0], units[1], units[2].model_copy(update={"profiles": ("nocheck",)}), units[3]]
    assert found == build_graph([snapshot(expected), snapshot([unit("p/a", "lib <nocheck>")], source="t")])
    asked = request("p/a", "p/b", profiles=("nocheck",))
    jobs = expand(asked, with_profiles(graph, "s", asked.units, asked.profiles), 1)
    assert [job.unit for job in jobs] == ["p/b", "p/lib", "p/a"]
    assert with_profiles(graph, "s", {"p/a"}, ()) is graph


def test_push_adds_dependants_and_their_needs():
    units = [*CHAIN, unit("p/extra"), unit("p/app", "tool, extra")]
    assert [path for path, _ in plan(units, "p/tool", dependants=True)] == [
        "p/extra", "p/lib", "p/tool", "p/app", "p/card",
    ]  # fmt: skip


def test_broken_unit_is_a_failed_job_that_its_dependants_wait_for():
    problem = Problem(path="p/lib", file="p/lib/debian/control", line=7, message="not a field", hint="Write one.")
    broken = unit("p/lib", provides=("libgreet-dev",), problems=(problem,))
    lib, tool = expanded([broken, *CHAIN[1:]], "p/tool")
    assert (lib.state, lib.outcome, lib.code, lib.publish) == ("finished", "failure", "broken-unit", False)
    assert (lib.message, lib.hint) == ("p/lib/debian/control:7: not a field", "Write one.")
    assert (tool.state, tool.needs) == ("blocked", (lib.job_id,))


@pytest.mark.parametrize("targets", [(), ("trixie.x86_64",)])
def test_broken_unit_of_unknown_targets_fails_for_each_target(targets):
    broken = unit("p/new", targets=(UNKNOWN_TARGET,), problems=(Problem(path="p/new", message="bad"),))
    [job] = expanded([broken], "p/new", targets=targets)
    assert (job.target.name, job.outcome) == ("unknown", "failure")


def test_jobs_of_one_target_do_not_need_jobs_of_another():
    both = (BOOKWORM, TRIXIE)
    units = [unit("p/lib", provides=("libgreet-dev",), targets=both), unit("p/tool", "libgreet-dev", targets=both)]
    jobs = expanded(units, "p/tool", targets=("trixie.x86_64",))
    assert [(job.unit, job.target.name) for job in jobs] == [("p/lib", "trixie.x86_64"), ("p/tool", "trixie.x86_64")]
    assert len(expanded(units, "p/tool")) == 4


def test_jobs_that_the_request_does_not_name_are_not_requested():
    units = [unit("p/lib"), unit("p/tool", "lib"), unit("p/card", "tool")]
    jobs = expanded(units, "p/tool", dependants=True)
    assert {job.unit: job.is_requested for job in jobs} == {"p/lib": False, "p/tool": True, "p/card": False}


def test_push_adds_dependants_of_other_sources_at_their_own_commit():
    far = [unit("q/base"), unit("q/far", "lib, base"), unit("q/alone")]
    jobs = expanded([unit("p/lib")], "p/lib", others=[snapshot(far, "t", "b")], dependants=True)
    rows = [(job.source, job.unit, job.revision[0], job.url, job.repository) for job in jobs]
    assert rows == [
        ("s", "p/lib", "a", "file:///s", "s-bookworm"),
        ("t", "q/base", "b", "file:///t", "t-bookworm"),
        ("t", "q/far", "b", "file:///t", "t-bookworm"),
    ]
    assert jobs[2].needs == (jobs[0].job_id, jobs[1].job_id)


def test_needs_in_another_source_are_not_added():
    assert plan([unit("p/app", "far")], "p/app", others=[snapshot([unit("q/far")], "t")]) == [("p/app", [])]


def test_critical_path_is_the_longest_chain_that_waits_for_a_job():
    units = [unit("p/lib"), unit("p/tool", "lib"), unit("p/card", "tool"), unit("p/doc", "lib")]
    seconds = {"p/lib": 10.0, "p/tool": 20.0, "p/doc": 90.0}
    history = BuildHistory(expected=lambda node: seconds.get(node.unit, 0.0))
    jobs = expanded(units, *(each.path for each in units), history=history)
    assert {job.unit: (job.expected_seconds, job.critical_path) for job in jobs} == {
        "p/lib": (10.0, 100.0), "p/doc": (90.0, 90.0), "p/tool": (20.0, 60.0), "p/card": (0.0, 40.0),
    }  # fmt: skip
    assert critical_paths([]) == {}


def test_depends_of_the_manifest_counts_like_metadata():
    units = [unit("p/a"), unit("p/b", depends=("p/a",))]
    assert plan(units, "p/b") == [("p/a", []), ("p/b", ["p/a"])]


def test_request_for_an_unknown_unit_is_rejected():
    with pytest.raises(Rejected, match="p/nope"):
        plan(CHAIN, "p/nope")


@st.composite
def unit_lists(draw):
    count = draw(st.integers(1, 12))
    return [
        unit(f"p/u{i}", ", ".join(f"u{j}" for j in draw(st.sets(st.integers(0, i - 1), max_size=3)) if i))
        if i
        else unit("p/u0")
        for i in range(count)
    ]


@given(unit_lists(), st.data())
def test_jobs_come_after_their_needs_in_any_order_of_units(units, data):
    requested = data.draw(st.sets(st.sampled_from([u.path for u in units]), min_size=1))
    jobs = expanded(units, *sorted(requested), dependants=data.draw(st.booleans()))
    seen = set()
    for job in jobs:
        assert set(job.needs) <= seen
        seen.add(job.job_id)
    assert requested == {job.unit for job in jobs if job.is_requested}
    shuffled = data.draw(st.permutations(units))
    assert expanded(shuffled, *sorted(requested)) == expanded(units, *sorted(requested))


DELETED = (DeletedUnit(path="p/lib", provides=("libgreet1", "libgreet-dev")),)


@pytest.mark.parametrize(
    ("units", "dependants", "built"),
    [
        (CHAIN[1:], False, ["p/tool"]),
        (CHAIN[1:], True, ["p/tool", "p/card"]),
        ([unit("q/lib", provides=("libgreet-dev",)), *CHAIN[1:]], True, []),
    ],
)
def test_dependants_of_deleted_units_are_built(units, dependants, built):
    """A unit that has moved is no deleted one: the unit at the new place makes its packages."""
    if built:
        assert [job.unit for job in expanded(units, deleted=DELETED, dependants=dependants)] == built
    else:
        with pytest.raises(Rejected, match="p/lib") as rejected:
            expanded(units, deleted=DELETED, dependants=dependants)
        assert rejected.value.code == NOTHING_BUILT_WITH_DELETED


def test_dependants_of_deleted_units_are_built_for_the_requested_targets():
    tool = unit("p/tool", "libgreet-dev", targets=(BOOKWORM, TRIXIE))
    jobs = expanded([tool], deleted=DELETED, targets=(TRIXIE.name,))
    assert [job.target.name for job in jobs] == [TRIXIE.name]
