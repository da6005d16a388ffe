"""Children of the supervisor: restarted with back-off, stopped in order, not confused with a later process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cloud_builder.adapters.process import spawn
from cloud_builder.wiring import rundir
from cloud_builder.wiring.children import FIRST_DELAY, HEALTHY_AFTER, MAX_DELAY, Child, stop_in_order
from support.waiting import LIMIT


def make_child(tmp_path: Path, name: str = "bogus", daemon: str = "bogus") -> Child:
    return Child(name, daemon, (), dict(os.environ), tmp_path / "log" / f"{name}.log")


def wait_for_exit(child: Child) -> None:
    assert child.process is not None
    child.process.wait(LIMIT)


def test_child_that_exits_at_once_is_restarted_with_back_off(tmp_path: Path) -> None:
    child, now, delays = make_child(tmp_path), 0.0, []
    child.start(now)
    for _ in range(9):
        wait_for_exit(child)
        assert child.reconcile(now)
        delays.append(child.restart_at - now)
        assert not child.reconcile(child.restart_at - 0.01)
        child.process, now = spawn(["true"]), child.restart_at
        child.started_at = now
    assert delays == [min(MAX_DELAY, FIRST_DELAY * 2**times) for times in range(9)]
    assert child.last_status == 0
    assert "usage" in child.log.read_text()


def test_exit_after_a_long_run_costs_only_the_first_delay(tmp_path: Path) -> None:
    child = make_child(tmp_path)
    child.exits, child.process, child.started_at = 5, spawn(["true"]), 0.0
    wait_for_exit(child)
    child.reconcile(HEALTHY_AFTER + 1)
    assert child.restart_at - (HEALTHY_AFTER + 1) == FIRST_DELAY


@pytest.mark.parametrize(("exits", "age", "is_healthy"), [(0, 0.1, True), (1, 0.1, False), (1, 5.0, True)])
def test_restarted_child_is_healthy_after_a_while(tmp_path: Path, exits: int, age: float, is_healthy: bool) -> None:
    child = make_child(tmp_path)
    child.process, child.exits, child.started_at = spawn(["sleep", "60"]), exits, 100.0
    assert child.is_healthy(100.0 + age) is is_healthy
    child.process.kill()
    child.process.wait()


def test_stop_in_order_stops_group_by_group(tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    script = (
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGTERM])\n"
        f"open({str(stopped)!r}, 'a').write(sys.argv[1] + '\\n')"
    )
    children = []
    for name, daemon in [("info", "info"), ("runner-1", "runner"), ("request", "request")]:
        child = make_child(tmp_path, name, daemon)
        child.process = spawn([sys.executable, "-c", script, name])
        assert child.process.stdout is not None
        assert child.process.stdout.readline() == b"ready\n"
        children.append(child)
    stop_in_order(children, ("request", "runner", "info"), within=LIMIT)
    assert stopped.read_text().split() == ["request", "runner-1", "info"]


def test_file_of_a_killed_supervisor_is_no_running_mesh(tmp_path: Path) -> None:
    me = rundir.process("supervisor", os.getpid())
    rundir.write_running_mesh(tmp_path, rundir.RunningMesh(me, (me,), "embedded", "starting"))
    assert (
        rundir.running_mesh(tmp_path)
        == rundir.last_written(tmp_path)
        == rundir.RunningMesh(me, (me,), "embedded", "starting")
    )
    other = rundir.Process("supervisor", me.pid, me.started - 1)
    rundir.write_running_mesh(tmp_path, rundir.RunningMesh(other))
    assert rundir.running_mesh(tmp_path) is None
    rundir.up_file(tmp_path).write_text("{")
    assert rundir.last_written(tmp_path) is None
