"""Tests of the source catalog: the newest complete snapshot of each source, also after a restart."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.errors import Rejected
from cloud_builder.flow.scheduler.sources import SourceCatalog
from cloud_builder.model import events as e
from support.factories import unit
from support.work import RecordingWork


class CatalogHarness:
    """A source catalog and its documents."""

    def __init__(self) -> None:
        self.work = RecordingWork(MemoryState(), 1000.0)
        self.catalog = SourceCatalog()

    def announce(self, *units, source="s", revision="a", followed=True, part=0, parts=1):
        self.catalog.add_part(self.work, e.SourceRevised(
            source=source, url=f"file:///{source}", branch="main", revision=revision * 40, followed=followed,
            units=units, part=part, parts=parts,
        ))  # fmt: skip

    def graph_of(self, source="s", revision="a"):
        """Returns {source/unit: needs} of the graph for a request; asserts that it is the same after a restart."""
        request = e.RequestAccepted(
            request_id="q", source=source, ref="", revision=revision * 40, units=(), accepted_at=1.0
        )
        graph = self.catalog.graph(self.work.documents, request)
        restored = SourceCatalog().graph(self.work.documents, request)
        assert (graph.nodes, graph.needs, graph.origins) == (restored.nodes, restored.needs, restored.origins)
        return {
            f"{node.source}/{graph.units[number].name}": [graph.nodes[need].unit[2:] for need in graph.needs[number]]
            for number, node in enumerate(graph.nodes)
        }


@pytest.fixture
def harness():
    harness = CatalogHarness()
    harness.announce(unit("lib"), unit("tool", "lib"))
    harness.announce(unit("far", "lib"), source="t")
    return harness


def test_graph_of_a_request_has_all_sources(harness):
    assert harness.graph_of() == {"s/lib": [], "s/tool": ["lib"], "t/far": ["lib"]}


def test_push_updates_the_graph_or_builds_it_again(harness):
    harness.graph_of()
    harness.announce(unit("lib", "tool"), unit("tool"), revision="b")
    assert harness.graph_of(revision="b") == {"s/lib": ["tool"], "s/tool": [], "t/far": ["lib"]}
    harness.announce(unit("tool"), unit("new", "tool"), revision="c")
    assert harness.graph_of(revision="c") == {"s/new": ["tool"], "s/tool": [], "t/far": []}


def test_units_announced_again_for_the_same_commit_replace_the_old_ones(harness):
    harness.graph_of()
    harness.announce(unit("lib", tree="1"), unit("tool"))
    assert harness.graph_of() == {"s/lib": [], "s/tool": [], "t/far": ["lib"]}


def test_snapshot_counts_when_it_is_complete(harness):
    harness.announce(unit("one"), revision="b", part=0, parts=2)
    assert "s/lib" in harness.graph_of()
    harness.announce(unit("two", "one"), revision="b", part=1, parts=2)
    assert harness.graph_of(revision="b") == {"s/one": [], "s/two": ["one"], "t/far": []}


def test_parts_of_different_snapshots_are_no_snapshot(harness):
    harness.announce(unit("one"), revision="b", part=0, parts=2)
    harness.announce(unit("two"), revision="c", part=1, parts=2)
    assert "s/lib" in harness.graph_of()


def test_commit_that_is_not_followed_is_in_the_graph_of_its_requests_only(harness):
    harness.announce(unit("lib"), unit("more", "lib"), revision="b", followed=False)
    assert harness.graph_of(revision="b") == {"s/lib": [], "s/more": ["lib"], "t/far": ["lib"]}
    assert "s/tool" in harness.graph_of()
    assert "s/tool" in harness.graph_of(source="t")


def test_commit_that_was_not_announced_is_rejected(harness):
    with pytest.raises(Rejected, match="not announced") as caught:
        harness.graph_of(revision="f")
    assert caught.value.code == "snapshot-missing"


def test_removed_source_is_in_no_graph(harness):
    harness.graph_of()
    harness.catalog.remove(harness.work, "t")
    assert harness.graph_of() == {"s/lib": [], "s/tool": ["lib"]}
