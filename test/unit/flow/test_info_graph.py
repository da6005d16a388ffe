"""The view `graph`: who needs whom over all sources, in pages, with the states of the newest jobs."""

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


class Asked:
    """`told` with a graph kept between questions."""

    def __init__(self, told: InfoHistory) -> None:
        self.told, self.atlas = told, GraphCache()

    def __call__(self, **args: Any) -> dict[str, Any]:
        return view(self.atlas, self.told.state, args)

    def units(self, **args: Any) -> list[str]:
        return [row["unit"].removeprefix("packages/") for row in self(**args)["items"]]


@pytest.fixture
def ask() -> Asked:
    world = revised(unit("base", "t"), unit("lib", "t", "base"), unit("app", "t", "lib"), unit("other", "t"))
    return Asked(InfoHistory().tell(world))


def test_the_nearest_come_first_in_both_directions(ask: Asked) -> None:
    assert ask.units(unit="app") == ["app", "lib", "base"]
    assert ask.units(unit="base", reverse=True) == ["base", "lib", "app"]
    assert ask.units(unit="app", depth=1) == ["app", "lib"]
    assert ask(unit="app")["roots"] == ["demo:packages/app@bookworm.x86_64"]


def test_all_units_come_after_what_they_need(ask: Asked) -> None:
    found = ask.units()
    assert sorted(found) == ["app", "base", "lib", "other"]
    assert found.index("base") < found.index("lib") < found.index("app")


def test_edges_name_only_what_is_shown(ask: Asked) -> None:
    needs = {row["unit"]: row["needs"] for row in ask(unit="lib", reverse=True)["items"]}
    assert needs == {"packages/lib": [], "packages/app": ["demo:packages/lib@bookworm.x86_64"]}


def test_the_state_is_that_of_the_newest_job(ask: Asked) -> None:
    queued(queued(ask.told, "r.1", "lib"), "s.1", "lib", at=950.0)
    ask.told.job(e.JobFinished, "s.1", "lib", outcome=Outcome.FAILURE, at=960.0)
    states = {row["unit"]: (row["state"], row["job_id"]) for row in ask()["items"]}
    assert states["packages/lib"] == ("failure", "s.1")
    assert states["packages/app"] == ("", "")
    ask.told.job(e.JobFinished, "t.1", "app", outcome=Outcome.SKIPPED, code="unchanged", reused_from="o.1", at=970.0)
    assert ask(unit="app")["items"][0]["state"] == "unchanged"


def test_pages_join_to_the_whole(ask: Asked) -> None:
    rows, after = [], None
    while True:
        found = ask(unit="app", most=1, after=after)
        rows += found["items"]
        after = found["next"]
        assert found["total"] == 3
        if after is None:
            break
    assert rows == ask(unit="app")["items"]


def test_a_push_changes_the_graph(ask: Asked) -> None:
    assert ask.units(unit="app") == ["app", "lib", "base"]
    ask.told.tell(revised(unit("base", "t"), unit("app", "t", "base"), revision=NEW))
    assert ask.units(unit="app") == ["app", "base"]


def test_edges_go_from_source_to_source(ask: Asked) -> None:
    ask.told.tell(revised(unit("tool", "t", "lib"), source="tools"))
    assert ask.units(unit="lib", reverse=True) == ["lib", "app", "tool"]
    assert ask.units(source="tools") == ["tool"]
    assert ask.units(unit="tools:tool", depth=1) == ["tool", "lib"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"unit": "ap"}, "app"),
        ({"unit": "app", "target": "sid.x86_64"}, TARGET.name),
        ({"unit": "app", "depth": "deep"}, ""),
        ({"unit": "app", "most": 0.5}, ""),
    ],
)
def test_what_cannot_be_asked_is_told_with_what_can(ask: Asked, args: dict[str, Any], told: str) -> None:
    with pytest.raises(Rejected) as rejected:
        ask(**args)
    assert told in rejected.value.hint
