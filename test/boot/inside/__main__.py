"""Inside the guest, as root, once the network is up: runs the checks in order and reports each to the machine outside.

Input: /srv (guest_disk.py). Output on the port `cb.report`: a JSON line for each check, the journal at the end of each
of the two boots, and `done` at the very end. When a check fails that others need, no further check runs.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builds
import daemons
import limits
import page
import units
from shell import Wrong

REPORT = Path("/dev/virtio-ports/cb.report")
OPTIONS = Path("/srv/options.json")
BOOTED_BEFORE = Path("/srv/booted-before")


@dataclass(frozen=True)
class Check:
    name: str
    make: Callable[[], str]
    needed: bool = False


def _line_to_the_broker() -> str:
    units.broker_line(on=True)
    return "the broker outside is reached"


FIRST = (
    Check("the page: install", page.installed, needed=True),
    Check("the page: sources of this machine", page.trusted, needed=True),
    Check("a line to the broker", _line_to_the_broker, needed=True),
    Check("the page: doctor", page.doctored, needed=True),
    Check("the page: start; the broker is away", daemons.wait_for_the_broker, needed=True),
    Check("the broker comes", daemons.find_the_broker, needed=True),
    Check("a build that fills memory", limits.memory),
    Check("a build that forks without end", limits.processes),
    Check("a runner ends in mid-build", limits.release),
    Check("restart of each", daemons.restart),
    Check("watchdog", daemons.are_watched),
    Check("killed daemons", daemons.come_back_when_killed),
    Check("the page: a key as a credential", page.passes_a_key),
    Check("settings that nobody can use", daemons.do_not_retry_bad_settings),
    Check("build the example chain", builds.chain),
    Check("install from its repository", builds.install),
    Check("ask again", builds.again),
    Check("stop", daemons.stop),
    Check("start", daemons.start_again),
    Check("journal", daemons.journal_is_clean),
)
SECOND = (
    Check("after a boot", daemons.are_there_after_a_boot),
    Check("after a boot: ask again", builds.again),
    Check("after a boot: journal", daemons.journal_is_clean),
)


def main() -> None:
    second = BOOTED_BEFORE.exists()
    only = json.loads(OPTIONS.read_text())["only"]
    go_on = _in_order(
        tuple(check for check in (SECOND if second else FIRST) if check.needed or not only or only in check.name)
    )
    report(
        journal=subprocess.run(["journalctl", "-b", "--no-pager"], capture_output=True, text=True, check=False).stdout
    )
    if second or not go_on or only:
        report(done=True)
        subprocess.run(["systemctl", "poweroff"], check=False)
    else:
        BOOTED_BEFORE.touch()
        subprocess.run(["systemctl", "reboot"], check=False)


def _in_order(checks: tuple[Check, ...]) -> bool:
    """Returns whether to continue. A failed check is reported; only a needed one ends the run."""
    return all(_made(check) or not check.needed for check in checks)


def _made(check: Check) -> bool:
    started = time.monotonic()
    try:
        ok, seen = True, check.make()
    except Wrong as wrong:
        ok, seen = False, str(wrong)
    except Exception as error:  # An error of the check itself is reported, and the other checks run.
        ok, seen = False, f"{type(error).__name__}: {error}"
    report(check=check.name, ok=ok, seen=seen, seconds=round(time.monotonic() - started, 1))
    return ok


def report(**line: Any) -> None:
    print(json.dumps({name: value for name, value in line.items() if name != "journal"}), flush=True)
    with REPORT.open("ab") as report:
        report.write(json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    main()
