"""The graph for a request with build profiles: the units that it names need what their relations say with these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.model.unit import Unit

from .build import build_graph
from .graph import Graph, SourceSnapshot
from .incremental import MAX_CHANGED_UNITS, replace_unit


def with_profiles(graph: Graph, source: SourceName, paths: Collection[UnitPath], profiles: Iterable[str]) -> Graph:
    """Returns the graph in which these units of a source have further build profiles."""
    added = frozenset(profiles)
    if not added:
        return graph
    changed = {
        unit.path: unit.model_copy(update={"profiles": tuple(sorted(added.union(unit.profiles)))})
        for node, unit in zip(graph.nodes, graph.units, strict=True)
        if node.source == source and unit.path in paths and "<" in unit.build_depends
    }
    if len(changed) > MAX_CHANGED_UNITS:
        return _built_anew(graph, source, changed)
    for unit in changed.values():
        graph = replace_unit(graph, source, unit)
    return graph


def _built_anew(graph: Graph, source: SourceName, changed: dict[UnitPath, Unit]) -> Graph:
    units: dict[SourceName, dict[UnitPath, Unit]] = defaultdict(dict)
    for node, unit in zip(graph.nodes, graph.units, strict=True):
        units[node.source][unit.path] = changed.get(unit.path, unit) if node.source == source else unit
    return build_graph(
        SourceSnapshot(name, origin, tuple(units[name].values())) for name, origin in graph.origins.items()
    )
