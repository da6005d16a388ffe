"""What the scheduler knows of all sources: the last whole snapshot of each, also after a restart."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.errors import Rejected
from cloud_builder.flow.scheduler.sources import SourceCatalog
from cloud_builder.model import events as e
from support.factories import unit
from support.work import RecordingWork


class Shelf:
    """An atlas and its documents."""

    def __init__(self) -> None:
        self.work = RecordingWork(MemoryState(), 1000.0)
        self.atlas = SourceCatalog()

    def announce(self, *units, source="s", revision="a", followed=True, part=0, parts=1):
        self.atlas.add_part(self.work, e.SourceRevised(
            source=source, url=f"file:///{source}", branch="main", revision=revision * 40, followed=followed,
            units=units, part=part, parts=parts,
        ))  # fmt: skip

    def seen(self, source="s", revision="a"):
        """{source/unit: what it needs} as a request for that commit sees it, after a restart, too."""
        request = e.RequestAccepted(
            request_id="q", source=source, ref="", revision=revision * 40, units=(), accepted_at=1.0
        )
        found = self.atlas.graph(self.work.documents, request)
        fresh = SourceCatalog().graph(self.work.documents, request)
        assert (found.nodes, found.needs, found.origins) == (fresh.nodes, fresh.needs, fresh.origins)
        return {
            f"{node.source}/{found.units[number].name}": [found.nodes[need].unit[2:] for need in found.needs[number]]
            for number, node in enumerate(found.nodes)
        }


@pytest.fixture
def shelf():
    shelf = Shelf()
    shelf.announce(unit("lib"), unit("tool", "lib"))
    shelf.announce(unit("far", "lib"), source="t")
    return shelf


def test_a_request_sees_all_sources(shelf):
    assert shelf.seen() == {"s/lib": [], "s/tool": ["lib"], "t/far": ["lib"]}


def test_a_push_exchanges_units_or_makes_the_graph_anew(shelf):
    shelf.seen()
    shelf.announce(unit("lib", "tool"), unit("tool"), revision="b")
    assert shelf.seen(revision="b") == {"s/lib": ["tool"], "s/tool": [], "t/far": ["lib"]}
    shelf.announce(unit("tool"), unit("new", "tool"), revision="c")
    assert shelf.seen(revision="c") == {"s/new": ["tool"], "s/tool": [], "t/far": []}


def test_units_announced_anew_for_the_same_commit_count(shelf):
    shelf.seen()
    shelf.announce(unit("lib", tree="1"), unit("tool"))
    assert shelf.seen() == {"s/lib": [], "s/tool": [], "t/far": ["lib"]}


def test_a_snapshot_counts_when_it_is_whole(shelf):
    shelf.announce(unit("one"), revision="b", part=0, parts=2)
    assert "s/lib" in shelf.seen()
    shelf.announce(unit("two", "one"), revision="b", part=1, parts=2)
    assert shelf.seen(revision="b") == {"s/one": [], "s/two": ["one"], "t/far": []}


def test_parts_of_different_snapshots_make_none(shelf):
    shelf.announce(unit("one"), revision="b", part=0, parts=2)
    shelf.announce(unit("two"), revision="c", part=1, parts=2)
    assert "s/lib" in shelf.seen()


def test_a_commit_aside_is_seen_by_requests_for_it_alone(shelf):
    shelf.announce(unit("lib"), unit("more", "lib"), revision="b", followed=False)
    assert shelf.seen(revision="b") == {"s/lib": [], "s/more": ["lib"], "t/far": ["lib"]}
    assert "s/tool" in shelf.seen()
    assert "s/tool" in shelf.seen(source="t")


def test_a_commit_that_was_not_announced_is_refused(shelf):
    with pytest.raises(Rejected, match="not announced") as caught:
        shelf.seen(revision="f")
    assert caught.value.code == "snapshot-missing"


def test_a_source_that_is_gone_is_in_no_graph(shelf):
    shelf.seen()
    shelf.atlas.remove(shelf.work, "t")
    assert shelf.seen() == {"s/lib": [], "s/tool": ["lib"]}
