"""Says what the units have instead of a package that a build could not get.

Input: a unit of the graph, and the message of its failed build. Output: the version that there is of a package that the
message names, or a package of a similar name, with its unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from cloud_builder.planning.relations import Alternative

from .graph import Graph

MAX_SHOWN = 3
_MAX_COMPARED = 5000
"""Names that are compared with a missing one; beyond that, a comparison takes too long."""
_SIMILARITY = 0.8


def with_nearest(message: str, graph: Graph, number: int) -> str:
    """Returns the message of a build that could not get its dependencies, with what the units have instead."""
    found = list(dict.fromkeys(_nearest(message, graph, number)))[:MAX_SHOWN]
    return "; ".join([message, *found])


def _nearest(message: str, graph: Graph, number: int) -> Iterator[str]:
    target = graph.nodes[number].target
    by_package = graph.providers.get(target, {})
    for relation, alternative, _ in graph.resolutions(number):
        for required in relation if alternative is None else ():
            if not re.search(rf"(?<![\w.+-]){re.escape(required.name)}(?![\w.+-])", message):
                continue
            if required.name in by_package:
                yield from (_version(graph, provider, required) for provider in by_package[required.name])
            elif len(by_package) <= _MAX_COMPARED:
                for name in get_close_matches(required.name, by_package, n=1, cutoff=_SIMILARITY):
                    yield f"a package with a similar name is {name} ({graph.nodes[by_package[name][0]].unit})"


def _version(graph: Graph, provider: int, required: Alternative) -> str:
    unit = graph.units[provider]
    versions = unit.virtual.get(required.name, (unit.version,))
    version = " and ".join(filter(None, versions)) or "without a version"
    return f"there is {required.name} {version} ({unit.path})"
