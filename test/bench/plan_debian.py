"""Plans a Sources index as one source tree and prints its cost as JSON. A process of its own: see plan.py.

plan_debian.py SOURCES"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import RequestId, Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.outcome import Kind
from cloud_builder.model.unit import Target, Unit
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Graph, Node, Origin, SourceSnapshot
from cloud_builder.planning.graph.incremental import replace_unit
from cloud_builder.planning.request.expand import requested_nodes, selected_nodes

DEBIAN = SourceName("debian")
TARGET = Target(name="bookworm.x86_64", dist="bookworm", arch="x86_64")
FIELDS = {"Package", "Version", "Binary", "Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep"}
EXTRA = "Extra-Source-Only"
"""The field of sources that are kept only for their licences: versions that nobody builds."""


def main(index: Path) -> None:
    gc.freeze()  # as each daemon does
    gc.set_threshold(50_000, 20, 20)
    units = {unit.path: unit for unit in units_of(index)}
    whole = build_graph([SourceSnapshot(DEBIAN, Origin("", Revision("")), list(units.values()))])
    order = whole.topological_order(range(len(whole.nodes)))
    cold = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert len(order) == len(units)
    zlib = _number(whole, "zlib")
    changes = [
        *(_change(whole, number, "autoconf-archive, python3-nosuchthing") for number in (_leaf(whole), _median(whole))),
        _change(whole, zlib, "python3-nosuchthing"),
        _change(whole, zlib, "hello"),
    ]
    result = {
        "sources": len(units),
        "edges": sum(map(len, whole.needs)),
        "cycles": sorted(map(len, whole.cycles()), reverse=True)[:3],
        "cold": cold,
        "memory": memory,
        "changes": changes,
    }
    sys.stdout.write(json.dumps(result))


def _change(before: Graph, number: int, more: str) -> dict[str, object]:
    """A push that changes a unit, its version and what it build-depends on: the new graph, and everything that it may
    set off, in order. That zlib needs hello draws hello into the cycle of thousands."""
    old = before.units[number]
    fresh = {"tree": TreeId("1" * 40), "version": f"{old.version}+1"}
    relations = f"{old.build_depends}, {more}"
    started = time.process_time()
    after = replace_unit(before, DEBIAN, old.model_copy(update={**fresh, "build_depends": relations}))
    request = _push(old.path)
    order = after.topological_order(after.transitive_dependants(requested_nodes(request, after)))
    seconds = time.process_time() - started
    assert set(order) <= selected_nodes(request, after)
    return {"unit": f"{old.path}, which now needs {more}", "dependants": len(order) - 1, "seconds": seconds}


def _push(unit: UnitPath) -> RequestAccepted:
    return RequestAccepted(
        request_id=RequestId("r"),
        source=DEBIAN,
        ref="main",
        revision=Revision(""),
        units=(unit,),
        dependants=True,
        accepted_at=0.0,
    )


def _number(whole: Graph, name: str) -> int:
    return whole.number[Node(DEBIAN, UnitPath(name), TARGET.name)]


def _leaf(whole: Graph) -> int:
    return _number(whole, "hello")


def _median(whole: Graph) -> int:
    """Returns the unit with the median number of dependants, among those that have any."""
    needed = [number for number in range(len(whole.nodes)) if whole.dependants[number]]
    return sorted(needed, key=lambda number: len(whole.dependants[number]))[len(needed) // 2]


def units_of(index: Path) -> Iterator[Unit]:
    """Returns a unit for each source; of several versions the last one counts."""
    for fields in _paragraphs(index):
        if EXTRA not in fields:
            relations = [" ".join(fields[name].split()) for name in sorted(FIELDS) if name.startswith("Build-")
                         and fields.get(name, "").strip()]  # fmt: skip
            yield Unit(
                path=UnitPath(fields["Package"]),
                directory=fields["Package"],
                name=fields["Package"],
                kind=Kind.PACKAGE,
                tree=TreeId("0" * 40),
                targets=(TARGET,),
                version=fields["Version"],
                provides=tuple(name.strip() for name in fields["Binary"].split(",")),
                build_depends=", ".join(relations),
            )


def _paragraphs(index: Path) -> Iterator[dict[str, str]]:
    """Returns the needed fields of each paragraph. A plain reader: python-debian's takes 20 s for so many."""
    fields: dict[str, str] = {}
    name = ""
    with index.open(encoding="utf-8") as lines:
        for line in lines:
            if line == "\n":
                yield fields
                fields, name = {}, ""
            elif line[0] in " \t":
                if name:
                    fields[name] += line
            else:
                key, _, value = line.partition(":")
                name = key if key in FIELDS or key == EXTRA else ""
                if name:
                    fields[name] = value.strip()
    if fields:
        yield fields


if __name__ == "__main__":
    main(Path(sys.argv[1]))
