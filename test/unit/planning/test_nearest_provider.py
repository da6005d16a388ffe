"""The message of a build without its dependencies: what the units have instead."""

from __future__ import annotations

import pytest

from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Node, Origin, SourceSnapshot
from cloud_builder.planning.graph.nearest_provider import with_nearest
from support.factories import BOOKWORM, unit

FAILED = "Build-Depends: X cannot be satisfied"
UNITS = [
    unit("plain", version="1.0"),
    unit("lib", provides=("lib-dev", "api"), version="3", virtual={"api": ("3.1",)}),
    unit("new", runtime_depends={"new": "plain (= 9)"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("relations", "failed", "expected"),
    [
        ("plain (>= 2.0)", "plain (>= 2.0)", ["there is plain 1.0 (p/plain)"]),
        ("plain (>= 2.0), api (= 1)", "api (= 1)", ["there is api 3.1 (p/lib)"]),
        ("plain (>= 2.0)", "plain-dev", []),
        ("new", "plain (= 9)", ["there is plain 1.0 (p/plain)"]),
        ("libdev", "libdev", ["a package with a similar name is lib-dev (p/lib)"]),
        ("foreign", "foreign", []),
        ("plain", "plain", []),
    ],
)
def test_message_names_the_nearest_package_of_units(relations, failed, expected):
    graph = build_graph([SourceSnapshot("s", Origin("", "a" * 40), [*UNITS, unit("app", relations)])])
    message = FAILED.replace("X", failed)
    assert with_nearest(message, graph, graph.number[Node("s", "p/app", BOOKWORM.name)]) == "; ".join(
        [message, *expected]
    )
