"""Children of the supervisor: restarted with back-off, stopped in order, and never mistaken for a later process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cloud_builder.adapters.process import spawn
from cloud_builder.wiring import rundir
from cloud_builder.wiring.children import FIRST_DELAY, HEALTHY_AFTER, MAX_DELAY, Child, stop_in_order
from support.waiting import LIMIT


def child(tmp_path: Path, name: str = "bogus", daemon: str = "bogus") -> Child:
    return Child(name, daemon, (), dict(os.environ), tmp_path / "log" / f"{name}.log")


def ended(one: Child) -> None:
    assert one.process is not None
    one.process.wait(LIMIT)


def test_a_child_that_dies_at_once_is_started_again_later_and_later(tmp_path: Path) -> None:
    one, now, delays = child(tmp_path), 0.0, []
    one.start(now)
    for _ in range(9):
        ended(one)
        assert one.reconcile(now)
        delays.append(one.restart_at - now)
        assert not one.reconcile(one.restart_at - 0.01)
        one.process, now = spawn(["true"]), one.restart_at
        one.started_at = now
    assert delays == [min(MAX_DELAY, FIRST_DELAY * 2**times) for times in range(9)]
    assert one.last_status == 0
    assert "usage" in one.log.read_text()


def test_a_death_after_a_healthy_life_costs_the_first_delay_only(tmp_path: Path) -> None:
    one = child(tmp_path)
    one.exits, one.process, one.started_at = 5, spawn(["true"]), 0.0
    ended(one)
    one.reconcile(HEALTHY_AFTER + 1)
    assert one.restart_at - (HEALTHY_AFTER + 1) == FIRST_DELAY


@pytest.mark.parametrize(("deaths", "age", "well"), [(0, 0.1, True), (1, 0.1, False), (1, 5.0, True)])
def test_a_child_that_was_started_again_is_believed_after_a_while(
    tmp_path: Path, deaths: int, age: float, well: bool
) -> None:
    one = child(tmp_path)
    one.process, one.exits, one.started_at = spawn(["sleep", "60"]), deaths, 100.0
    assert one.is_healthy(100.0 + age) is well
    one.process.kill()
    one.process.wait()


def test_groups_stop_one_after_another(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = (
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGTERM])\n"
        f"open({str(told)!r}, 'a').write(sys.argv[1] + '\\n')"
    )
    children = []
    for name, daemon in [("info", "info"), ("runner-1", "runner"), ("request", "request")]:
        one = child(tmp_path, name, daemon)
        one.process = spawn([sys.executable, "-c", script, name])
        assert one.process.stdout is not None
        assert one.process.stdout.readline() == b"ready\n"
        children.append(one)
    stop_in_order(children, ("request", "runner", "info"), within=LIMIT)
    assert told.read_text().split() == ["request", "runner-1", "info"]


def test_what_a_killed_supervisor_has_left_is_no_running_mesh(tmp_path: Path) -> None:
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
