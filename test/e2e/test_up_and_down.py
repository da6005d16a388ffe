"""The mesh of one machine as a process: started once, stopped completely, and repaired when a part of it exits."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from support.ctl_mesh import Account, CtlMesh
from support.waiting import until

DAEMONS = {"info", "collector", "scheduler", "request", "runner-1"}


@pytest.fixture
def mesh():
    """One without sources, in a home that no other test has."""
    with tempfile.TemporaryDirectory(prefix="cb-", dir="/var/tmp") as directory:
        made = CtlMesh(Path(directory) / "home", Path(directory) / "cache", account=Account())
        try:
            yield made
        finally:
            made.down()


def processes(mesh: CtlMesh) -> dict[str, int]:
    raw = json.loads((mesh.home / "run" / "up.json").read_text())
    return {one["name"]: one["pid"] for one in [raw["supervisor"], *raw["children"]]}


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()


def wait_until_gone(pids: dict[str, int]) -> None:
    until(lambda: not any(is_alive(pid) for pid in pids.values()), f"the end of {pids}")


def test_up_twice_is_one_mesh_and_down_leaves_nothing(mesh):
    mesh.up()
    before = processes(mesh)
    assert set(before) == DAEMONS | {"supervisor"}
    again = mesh.ok("up", "--detach")
    assert "already up" in again.out
    assert processes(mesh) == before
    assert set(mesh.ok("down", "--json").json["stopped"]) == DAEMONS
    wait_until_gone(before)
    assert mesh.ctl("status").status == 4
    assert mesh.ok("down").out.startswith("no mesh is running")


def test_a_daemon_that_dies_is_started_again(mesh):
    mesh.up()
    before = processes(mesh)
    os.kill(before["info"], signal.SIGKILL)
    assert mesh.ok("list", "runners", "--json").json[0]["runner_id"] == "runner-1"
    after = processes(mesh)
    assert {name for name in after if after[name] != before[name]} == {"info"}


def test_when_the_supervisor_is_killed_its_children_end_and_up_begins_anew(mesh):
    mesh.up()
    before = processes(mesh)
    os.kill(before["supervisor"], signal.SIGKILL)
    wait_until_gone(before)
    assert mesh.ctl("status").status == 4
    mesh.up()
    assert mesh.ok("status", "--json").json["runners"][0]["state"] == "online"


def test_up_reports_an_occupied_port_at_once(mesh):
    mesh.up()
    other = mesh.ctl("up", "--detach", "--home", str(mesh.home.parent / "other"), "--port", str(mesh.port))
    assert other.status == 3, other
    assert "--port" in other.err


def test_up_reports_an_unreachable_kafka(mesh):
    result = mesh.ctl("up", "--detach", "--broker", "127.0.0.1:1", "--port", "0")
    assert result.status == 4, result
    assert "127.0.0.1:1 cannot be reached" in result.err
    assert not (mesh.home / "run" / "up.json").exists()
