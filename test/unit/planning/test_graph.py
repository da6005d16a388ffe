"""Resolution of relations, components, and graphs that depend on nothing but their snapshots."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.unit import Target
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Graph, Node, Origin, SourceSnapshot
from cloud_builder.planning.graph.incremental import replace_unit
from cloud_builder.planning.graph.resolve import DependencyResolver
from cloud_builder.planning.graph.scc import strongly_connected
from cloud_builder.planning.relations import groups
from support.factories import BOOKWORM, unit

TRIXIE = Target(name="trixie.aarch64", dist="trixie", arch="aarch64")


EXIM = {"mail-agent": (), "smtp-1": ("1.2",)}
POSTFIX = {"mail-agent": (), "smtp-1": ("0", "1.3"), "of-the-build": ("",)}


def snapshot(*units, source="s"):
    return SourceSnapshot(source, Origin(f"file:///{source}", "a" * 40), units)


def needs(*snapshots, target="bookworm.x86_64", of="app", source="s"):
    graph = build_graph(snapshots)
    found = graph.needs[graph.number[Node(source, f"p/{of}", target)]]
    return [f"{node.source}/{node.unit[2:]}" for node in map(graph.nodes.__getitem__, found)]


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ("lib-dev (>= 1), debhelper-compat (= 13)", ["s/lib"]),
        ("other | lib-dev", ["s/other"]),
        ("foreign | lib-dev | other", ["s/lib"]),
        ("lib-dev (>= 2) | other", ["s/other"]),
        ("lib-dev (>= 2) | foreign", []),
        ("lib-dev (>= 2)", []),
        ("lib-dev (<< 2), lib1 (= 1.5)", ["s/lib"]),
        ("mail-agent (>= 1)", []),
        ("smtp-1 (= 1.2) | other", ["s/exim"]),
        ("smtp-1 (>= 1.3)", ["s/postfix"]),
        ("smtp-1 (>= 3) | other", ["s/other"]),
        ("smtp-1", ["s/exim", "s/postfix"]),
        ("of-the-build (= 7)", ["s/postfix"]),
        ("other (= 7)", ["s/other"]),
        ("lib-dev [arm64], other [!arm64]", ["s/other"]),
        ("lib-dev <!nocheck>, other <stage1>", ["s/lib"]),
        ("mail-agent", ["s/exim", "s/postfix"]),
        ("app", []),
    ],
)
def test_relation_is_resolved_to_units(relations, expected):
    members = (
        unit("lib", provides=("lib-dev", "lib1"), version="1.5"),
        unit("other"),
        unit("exim", provides=("exim", *EXIM), version="1.2", virtual=EXIM),
        unit("postfix", provides=("postfix", *POSTFIX), version="9", virtual=POSTFIX),
        unit("app", relations),
    )
    assert needs(snapshot(*members)) == expected


def test_unit_of_the_same_source_is_preferred():
    own, foreign = snapshot(unit("app", "lib"), unit("lib")), snapshot(unit("lib"), source="t")
    assert needs(own, foreign) == ["s/lib"]
    assert needs(snapshot(unit("app", "lib")), foreign) == ["t/lib"]


def test_version_that_only_another_source_has_is_taken_from_it():
    own = snapshot(unit("app", "lib (>= 2)"), unit("lib", version="1"))
    assert needs(own, snapshot(unit("lib", version="2"), source="t")) == ["t/lib"]
    assert needs(own, snapshot(unit("lib", version="1.9"), source="t")) == []


def test_unit_without_known_versions_provides_every_version():
    old = unit("lib", provides=("lib", "virtual"))
    assert needs(snapshot(old, unit("app", "virtual (>= 2), lib (<< 1)"))) == ["s/lib"]


def test_needs_are_resolved_within_one_target():
    both = (BOOKWORM, TRIXIE)
    found = snapshot(unit("lib", targets=(TRIXIE,)), unit("app", "lib", targets=both))
    assert needs(found, target="trixie.aarch64") == ["s/lib"]
    assert needs(found) == []


def test_depends_of_the_manifest_counts_like_metadata():
    assert needs(snapshot(unit("lib"), unit("app", depends=("p/lib", "p/gone")))) == ["s/lib"]


def test_transitive_needs_stay_in_the_same_source():
    graph = build_graph([snapshot(unit("app", "lib, far"), unit("lib")), snapshot(unit("far"), source="t")])
    added = graph.transitive_needs(graph.units_for("s", ["p/app"]))
    assert [graph.nodes[number].unit for number in sorted(added)] == ["p/app", "p/lib"]


NAMES = [f"u{number}" for number in range(9)]
VERSIONS = st.sampled_from(["", "1", "2"])
TERMS = st.tuples(st.sampled_from([*NAMES, "virtual"]), st.sampled_from(["", " (>= 2)", " <!nocheck>"])).map("".join)
RELATIONS = st.lists(st.lists(TERMS, min_size=1, max_size=2).map(" | ".join), max_size=3).map(", ".join)
EDGES = st.integers(1, 12).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count)
)


@st.composite
def units(draw, name):
    virtual = draw(st.dictionaries(st.just("virtual"), st.sampled_from([(), ("1",), ("2", ""), ("",)])))
    runtime = draw(st.dictionaries(st.sampled_from([name, f"{name}-dev"]), RELATIONS.filter(bool)))
    provides = (name, f"{name}-dev", *virtual)
    return unit(name, draw(RELATIONS), provides, version=draw(VERSIONS), virtual=virtual, runtime_depends=runtime)


@st.composite
def snapshots(draw):
    parts = {"s": [], "t": []}
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        parts[draw(st.sampled_from(["s", "s", "t"]))].append(draw(units(name)))
    return [snapshot(*found, source=source) for source, found in parts.items()]


@given(EDGES)
def test_components_are_mutually_reachable_and_follow_their_needs(edges):
    def reach(start):
        seen, todo = {start}, [start]
        while todo:
            fresh = set(edges[todo.pop()]) - seen
            seen |= fresh
            todo += fresh
        return seen

    below = [reach(node) for node in range(len(edges))]
    found = list(strongly_connected(edges))
    naive = {frozenset(o for o in below[n] if n in below[o]) for n in range(len(edges))}
    assert {frozenset(each) for each in found} == naive
    index = {node: n for n, each in enumerate(found) for node in each}
    assert all(index[neighbour] <= index[node] for node in index for neighbour in edges[node])


@given(snapshots(), st.randoms(use_true_random=False))
def test_graph_does_not_depend_on_the_order_of_snapshots_and_units(parts, chance):
    shuffled = [part._replace(units=chance.sample(part.units, len(part.units))) for part in parts]
    chance.shuffle(shuffled)
    assert is_same(build_graph(parts), build_graph(shuffled))


@given(snapshots(), st.data())
def test_replace_unit_gives_the_same_graph_as_building_it_again(parts, data):
    source = data.draw(st.sampled_from([part for part in parts if part.units]))
    newer = data.draw(units(data.draw(st.sampled_from(source.units)).name))
    replaced = source._replace(units=[newer if unit.path == newer.path else unit for unit in source.units])
    rebuilt = build_graph([replaced if part.source == source.source else part for part in parts])
    older = next(unit for unit in source.units if unit.path == newer.path)
    if older.runtime_depends.keys() != newer.runtime_depends.keys():
        with pytest.raises(KeyError):
            replace_unit(build_graph(parts), source.source, newer)
    else:
        assert is_same(replace_unit(build_graph(parts), source.source, newer), rebuilt)


def run_time_closure(graph, number):
    """Returns the units that have a package in the build root of a unit, by the rules alone."""
    resolver = DependencyResolver(graph.nodes, graph.number, graph.providers, graph.units, {})
    todo = [(number, graph.relations(number))]
    found, seen = set(), set()
    while todo:
        asking, relations = todo.pop()
        source, _, target = graph.nodes[asking]
        for alternative, providers in (resolver.resolve(group, source, target) for group in relations):
            for provider in providers:
                found.add(provider)
                fields = graph.units[provider].runtime_depends
                names = fields if alternative.name in graph.units[provider].virtual else [alternative.name]
                for name in {*names} - {name for who, name in seen if who == provider} if provider != number else ():
                    seen.add((provider, name))
                    todo.append((provider, groups(fields.get(name, ""), BOOKWORM.arch)))
    return found - {number}


@given(snapshots())
def test_needs_are_all_units_with_a_package_in_the_build_root(parts):
    graph = build_graph(parts)
    for number in range(len(graph.nodes)):
        assert set(graph.needs[number]) >= run_time_closure(graph, number)
        assert all(number in graph.dependants[need] for need in graph.needs[number])


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([unit("mid", runtime_depends={"mid": "base"})], ["s/base", "s/mid"]),
        ([unit("mid", runtime_depends={"mid": "far"}), unit("far", runtime_depends={"far": "base (>= 1)"})],
         ["s/base", "s/far", "s/mid"]),
        ([unit("mid", provides=("mid", "mid-dev"), runtime_depends={"mid-dev": "base"})], ["s/mid"]),
        ([unit("mid", provides=("mid", "mid-dev"), runtime_depends={"mid": "mid-dev", "mid-dev": "base"})],
         ["s/base", "s/mid"]),
        ([unit("impl", provides=("impl", "mid"), virtual={"mid": ()}, runtime_depends={"impl": "base"})],
         ["s/base", "s/impl"]),
        ([unit("mid", runtime_depends={"mid": "base (>= 3)"})], ["s/mid"]),
        ([unit("mid", runtime_depends={"mid": "app, base"})], ["s/base", "s/mid"]),
        ([unit("mid", runtime_depends={"mid": "foreign | base, perl"})], ["s/base", "s/mid"]),
    ],
    ids=["its package", "over several", "another package of the unit", "two packages of the unit", "a virtual package",
         "no version that fits", "the unit itself", "alternatives"],
)  # fmt: skip
def test_unit_needs_what_a_build_dependency_depends_on(members, expected):
    assert needs(snapshot(unit("base", version="2"), unit("app", "mid"), *members)) == expected


def test_packages_that_depend_on_each_other_are_no_cycle():
    pair = unit("a", runtime_depends={"a": "b"}), unit("b", runtime_depends={"b": "a"})
    graph = build_graph([snapshot(*pair, unit("app", "a"))])
    assert [list(graph.cycles()), len(graph.needs[graph.number[Node("s", "p/app", BOOKWORM.name)]])] == [[], 2]


def test_cycle_through_a_run_time_dependency_is_found():
    members = unit("a", "b"), unit("b", runtime_depends={"b": "c"}), unit("c", "a")
    graph = build_graph([snapshot(*members)])
    assert [[graph.nodes[number].unit for number in members] for members in graph.cycles()] == [["p/a", "p/c"]]


def test_package_of_another_source_depends_on_units_of_that_source():
    far = snapshot(unit("mid", runtime_depends={"mid": "base"}), unit("base"), source="t")
    assert needs(snapshot(unit("app", "mid"), unit("base")), far) == ["t/base", "t/mid"]
    assert needs(snapshot(unit("app", "mid"), unit("base")), far._replace(units=far.units[:1])) == ["s/base", "t/mid"]


@given(snapshots())
def test_topological_order_has_needs_first_and_cycles_side_by_side(parts):
    graph = build_graph(parts)
    order = graph.topological_order(range(len(graph.nodes)))
    index = {number: n for n, number in enumerate(order)}
    for number in order:
        group = graph.component_of(number)
        assert all(index[need] < index[number] or need in group for need in graph.needs[number])
        assert sorted(index[member] for member in group) == list(
            range(min(map(index.get, group)), max(map(index.get, group)) + 1)
        )
    condensed = {
        graph.component[n]: {graph.component[need] for m in graph.component_of(n) for need in graph.needs[m]}
        for n in order
    }
    TopologicalSorter({node: found - {node} for node, found in condensed.items()}).prepare()


def is_same(first: Graph, second: Graph) -> bool:
    def plain(graph: Graph) -> dict[str, object]:
        return {name: value if hasattr(value, "keys") else list(value) for name, value in vars(graph).items()}

    return plain(first) == plain(second)
