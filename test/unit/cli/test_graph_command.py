"""`cb-ctl graph` against a real cb-info: tree, dot, SVG and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from cloud_builder.errors import ExitCode
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import Unit
from support import factories
from support.info_mesh import REVISION, TREE, InfoMesh, json_output, output


def unit(name: str, *needs: str) -> Unit:
    return factories.unit(name, ", ".join(needs), path=f"packages/{name}", tree=TREE)


@pytest.fixture
def graph_mesh(mesh: InfoMesh) -> Iterator[InfoMesh]:
    units = (unit("base"), unit("hello", "base"), unit("app", "hello", "base"))
    mesh.send(e.SourceRevised(source="demo", url="/srv", branch="main", revision=REVISION, followed=True, units=units))
    mesh.job(e.JobFinished, outcome=Outcome.FAILURE)
    yield mesh


def test_graph_prints_the_tree_in_both_directions(graph_mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "graph", "app").splitlines() == [
        "packages/app",
        "├─ packages/base",
        "└─ packages/hello  failure",
        "   └─ packages/base",
    ]
    assert output(capsys, "graph", "base", "--reverse", "--depth", "1").splitlines()[0] == "packages/base"
    assert output(capsys, "graph").splitlines()[0] == "packages/app"


def test_graph_prints_dot_and_svg(graph_mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "graph", "--format", "dot")
    assert '"demo:packages/hello@bookworm.x86_64" -> "demo:packages/base@bookworm.x86_64"' in text
    document = ElementTree.fromstring(output(capsys, "graph", "app", "--format", "svg"))
    assert document.tag.endswith("svg")


def test_graph_prints_nodes_as_json(graph_mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    found = json_output(capsys, "graph", "hello")
    assert [(row["unit"], row["state"]) for row in found["nodes"]] == [
        ("packages/hello", "failure"),
        ("packages/base", ""),
    ]
    assert (found["total"], found["left_out"]) == (2, 0)


def test_graph_reports_left_out_units(graph_mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    assert "1 of 3 units are shown" in output(capsys, "graph", "--most", "1")


def test_graph_names_the_nearest_unit(graph_mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean packages/hello?" in output(capsys, "graph", "helo", code=ExitCode.REJECTED)
