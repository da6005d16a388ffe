"""Tests of the view `graph`: the dependencies over all sources, in pages, with the states of the newest jobs."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_builder.errors import Rejected
from cloud_builder.flow.info.graph import GraphCache, view
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import Unit
from support.info_history import NEW, OLD, TARGET, InfoHistory, queued, unit


def revised(*units: Unit, source: str = "demo", revision: str = OLD) -> e.SourceRevised:
    return e.SourceRevised(source=source, url="/srv", branch="main", revision=revision, followed=True, units=units)


class GraphView:
    """The view over `history`; its graph is cached between queries."""

    def __init__(self, history: InfoHistory) -> None:
        self.history, self.cache = history, GraphCache()

    def __call__(self, **args: Any) -> dict[str, Any]:
        return view(self.cache, self.history.state, args)

    def units(self, **args: Any) -> list[str]:
        return [row["unit"].removeprefix("packages/") for row in self(**args)["items"]]


@pytest.fixture
def graph() -> GraphView:
    sources = revised(unit("base", "t"), unit("lib", "t", "base"), unit("app", "t", "lib"), unit("other", "t"))
    return GraphView(InfoHistory().apply(sources))


def test_nearest_units_come_first_in_both_directions(graph: GraphView) -> None:
    assert graph.units(unit="app") == ["app", "lib", "base"]
    assert graph.units(unit="base", reverse=True) == ["base", "lib", "app"]
    assert graph.units(unit="app", depth=1) == ["app", "lib"]
    assert graph(unit="app")["roots"] == ["demo:packages/app@bookworm.x86_64"]


def test_all_units_come_after_their_dependencies(graph: GraphView) -> None:
    found = graph.units()
    assert sorted(found) == ["app", "base", "lib", "other"]
    assert found.index("base") < found.index("lib") < found.index("app")


def test_edges_name_only_selected_nodes(graph: GraphView) -> None:
    needs = {row["unit"]: row["needs"] for row in graph(unit="lib", reverse=True)["items"]}
    assert needs == {"packages/lib": [], "packages/app": ["demo:packages/lib@bookworm.x86_64"]}


def test_state_is_that_of_the_newest_job(graph: GraphView) -> None:
    queued(queued(graph.history, "r.1", "lib"), "s.1", "lib", at=950.0)
    graph.history.job(e.JobFinished, "s.1", "lib", outcome=Outcome.FAILURE, at=960.0)
    states = {row["unit"]: (row["state"], row["job_id"]) for row in graph()["items"]}
    assert states["packages/lib"] == ("failure", "s.1")
    assert states["packages/app"] == ("", "")
    graph.history.job(
        e.JobFinished, "t.1", "app", outcome=Outcome.SKIPPED, code="unchanged", reused_from="o.1", at=970.0
    )
    assert graph(unit="app")["items"][0]["state"] == "unchanged"


def test_pages_join_to_all_rows(graph: GraphView) -> None:
    rows, after = [], None
    while True:
        found = graph(unit="app", most=1, after=after)
        rows += found["items"]
        after = found["next"]
        assert found["total"] == 3
        if after is None:
            break
    assert rows == graph(unit="app")["items"]


def test_push_changes_the_graph(graph: GraphView) -> None:
    assert graph.units(unit="app") == ["app", "lib", "base"]
    graph.history.apply(revised(unit("base", "t"), unit("app", "t", "base"), revision=NEW))
    assert graph.units(unit="app") == ["app", "base"]


def test_edges_go_from_source_to_source(graph: GraphView) -> None:
    graph.history.apply(revised(unit("tool", "t", "lib"), source="tools"))
    assert graph.units(unit="lib", reverse=True) == ["lib", "app", "tool"]
    assert graph.units(source="tools") == ["tool"]
    assert graph.units(unit="tools:tool", depth=1) == ["tool", "lib"]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ({"unit": "ap"}, "app"),
        ({"unit": "app", "target": "sid.x86_64"}, TARGET.name),
        ({"unit": "app", "depth": "deep"}, ""),
        ({"unit": "app", "most": 0.5}, ""),
    ],
)
def test_rejection_names_a_valid_argument(graph: GraphView, args: dict[str, Any], hint: str) -> None:
    with pytest.raises(Rejected) as rejected:
        graph(**args)
    assert hint in rejected.value.hint
