"""Start, failure and stop of the daemons under systemd, as doc/how-to/run-as-services.md describes them."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from page import run_block
from shell import must, run, until
from units import DAEMONS, SLOW, TARGET, UNITS, all_at_work, at_work, broker_line, main_pid, show, states

STOP_WITHIN = 30.0
"""Seconds: TimeoutStopSec of the units."""
WATCHDOG = 20
CGROUPS = Path("/sys/fs/cgroup")
ERROR = re.compile(r"Z error |Traceback")
MEANT = ("Watchdog timeout", "Failed to start cb-info.service")
"""Errors of systemd that are_watched and do_not_retry_bad_settings cause on purpose."""


def wait_for_the_broker() -> str:
    """Starts the daemons while the broker is unreachable: the start returns, and each status names the cause."""
    broker_line(on=False)
    started = time.monotonic()
    run_block(2)
    took = time.monotonic() - started
    must(show(TARGET)["ActiveState"] == "active", "the target is not active")
    seen = until(
        states, lambda seen: all(one[0] == "activating" and "waiting: " in one[2] for one in seen.values()), SLOW,
        "all daemons activating, with the cause in the status line",
    )  # fmt: skip
    return f"start returned after {took:.0f} s; all five activating; {seen['cb-info.service'][2][:90]}"


def find_the_broker() -> str:
    broker_line(on=True)
    started = time.monotonic()
    all_at_work()
    return f"five daemons active (running), status “at work”, {time.monotonic() - started:.0f} s after the broker came"


def are_watched() -> str:
    """Checks with a short watchdog that a daemon runs on, and that systemd restarts it once it is frozen."""
    drop_in = UNITS / "cb-info.service.d" / "short.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text(f"[Service]\nWatchdogSec={WATCHDOG}\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "cb-info", within=SLOW)
    pid, fed = main_pid("cb-info"), show("cb-info")["WatchdogTimestampMonotonic"]
    later = until(
        lambda: show("cb-info")["WatchdogTimestampMonotonic"], lambda now: now != fed, WATCHDOG, "a sign of life"
    )
    time.sleep(WATCHDOG * 1.5)
    must(main_pid("cb-info") == pid, "a healthy daemon was ended by the watchdog")
    os.kill(pid, signal.SIGSTOP)
    until(
        lambda: show("cb-info")["NRestarts"],
        lambda count: count != "0",
        WATCHDOG + SLOW,
        "a restart of a frozen daemon",
    )
    at_work("cb-info.service")
    drop_in.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "cb-info", within=SLOW)
    return f"fed within {WATCHDOG / 2:g} s ({fed} → {later}); a frozen one was started again"


def restart() -> str:
    took = []
    for unit in DAEMONS:
        before, started = main_pid(unit), time.monotonic()
        run("systemctl", "restart", unit, within=SLOW)
        took.append(time.monotonic() - started)
        must(main_pid(unit) not in (0, before), f"{unit} was not restarted")
        must(show(unit)["Result"] == "success", f"{unit} ended with {show(unit)['Result']}")
    return f"each within {max(took):.0f} s"


def come_back_when_killed() -> str:
    for unit in DAEMONS:
        os.kill(main_pid(unit), signal.SIGKILL)
    until(lambda: {show(unit)["NRestarts"] for unit in DAEMONS}, lambda seen: seen == {"1"}, SLOW, "a restart of each")
    all_at_work()
    return "all five killed by SIGKILL at once, and at work again"


def stop() -> str:
    """Stops all daemons by the target, in time; no process or mount of theirs is left."""
    run("systemctl", "stop", TARGET)
    slowest = 0.0
    for unit in DAEMONS:
        one = until(
            lambda unit=unit: show(unit), lambda one: one["ActiveState"] == "inactive", SLOW, f"{unit} inactive"
        )
        must(one["Result"] == "success", f"{unit} ended with {one['Result']}")
        ended, asked = int(one["InactiveEnterTimestampMonotonic"]), int(one["ActiveExitTimestampMonotonic"])
        slowest = max(slowest, (ended - asked) / 1e6)
    must(slowest < STOP_WITHIN, f"one took {slowest:.1f} s to end")
    left = run("ps", "-u", "cloud-builder", "-o", "pid,args", "--no-headers", fine=(0, 1)).strip()
    left += run("findmnt", "--list", "--noheadings", "--types", "overlay", fine=(0, 1)).strip()
    must(not left, f"left behind: {left}")
    ours = (*DAEMONS, "cb-runner", "cb-build-")
    groups = [str(path) for path in CGROUPS.rglob("cb-*") if path.name.startswith(ours)]
    must(not groups, f"groups left behind: {groups}")
    return f"slowest {slowest:.1f} s of {STOP_WITHIN:g} s; no process, mount or control group is left"


def start_again() -> str:
    run("systemctl", "start", TARGET)
    all_at_work()
    return "by the target"


def do_not_retry_bad_settings() -> str:
    """Checks that exit status 3 is not retried, because an operator must fix the cause first."""
    variables = Path("/etc/cloud-builder/environment")
    variables.write_text("CB_INFO__REQUEST_RETENTION=for-ever\n")
    try:
        run("systemctl", "restart", "cb-info", within=SLOW, fine=(1,))
        one = show("cb-info")
    finally:
        variables.unlink()
    must((one["ExecMainStatus"], one["NRestarts"], one["ActiveState"]) == ("3", "0", "failed"), str(one))
    run("systemctl", "reset-failed", "cb-info")
    run("systemctl", "start", "cb-info", within=SLOW)
    return "exit status 3, failed, not started again"


def are_there_after_a_boot() -> str:
    state = until(
        lambda: run("systemctl", "is-system-running", fine=(0, 1)).strip(),
        lambda now: now != "starting",
        SLOW,
        "the boot",
    )
    all_at_work()
    must(state == "running", f"the system is {state}: {run('systemctl', '--failed', '--no-legend')}")
    return f"all five at work by themselves; the system is {state}"


def journal_is_clean() -> str:
    """Checks that daemons logged no error, and systemd none about them, except those that were caused on purpose."""
    lines_of_log = run("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "cb-*").splitlines()
    errors = [line for line in lines_of_log if ERROR.search(line)]
    by_systemd = run("journalctl", "-b", "-o", "cat", "--no-pager", "-p", "err", "_PID=1").splitlines()
    errors += [line for line in by_systemd if "cb-" in line and not any(word in line for word in MEANT)]
    must(not errors, f"{len(errors)} errors: {errors[:5]}")
    return f"no error that was not meant in {len(lines_of_log)} lines"
