"""`make boot`: the units of systemd/ on a booted machine with cgroup v2, and real builds in them.

A Debian 12 guest (QEMU, no KVM needed) is made as doc/how-to/run-as-services.md describes it; the page's own
commands are run. Then systemd starts the daemons, which talk to a real Kafka on this machine, build, are killed, and
are asked to hold their limits: inside/. About half an hour on two quiet processors.

Without make: `PYTHONPATH=test .venv/bin/python -m boot`.

--prepare-inside  KIWI prepares the build root in the guest, too (else the object store has it)
--only WORDS      of the checks that others do not need, those whose name has these words; no second boot
--minutes N       give up after so long (90)
--keep            keep console and journal of a good run, too

Exit status: 0 all is as it should be; 1 something is not; 2 the machine could not be made or did not finish.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from boot.base import base
from boot.guest import Guest, lacks
from boot.guest_disk import make_guest_disk, remove
from support.kafka_server import JavaServer, fetched_jars

LOGS = Path(__file__).parents[2] / "build" / "boot"


def main() -> int:
    arguments = _parser().parse_args()
    if lacking := lacks():
        print(f"error: this machine lacks what boots another\n  apt-get install {' '.join(lacking)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # So that nothing is left behind.
    work = Path(tempfile.mkdtemp(prefix="cb-boot-", dir="/var/tmp"))
    kafka = JavaServer(fetched_jars())
    try:
        kafka.start()
        port = int(kafka.settings.bootstrap.rpartition(":")[2])
        return _run(work, port, arguments)
    finally:
        kafka.close()
        remove(work)


def _run(work: Path, port: int, arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    machine, disk = base(), make_guest_disk(work, port, prepare_inside=arguments.prepare_inside, only=arguments.only)
    print(f"the machine is made ({time.monotonic() - started:.0f} s) and booted", flush=True)
    guest = Guest(machine, disk, work)
    lines: list[dict[str, Any]] = []
    try:
        for line in guest.lines(arguments.minutes * 60):
            lines.append(line)
            _show(line)
    except TimeoutError:
        print(f"it was not done within {arguments.minutes:g} minutes")
    finally:
        guest.close()
    return _verdict(lines, guest.console, time.monotonic() - started, keep=arguments.keep)


def _show(line: dict[str, Any]) -> None:
    if "check" in line:
        mark = "ok   " if line["ok"] else "WRONG"
        print(f"{mark} {line['seconds']:5.0f} s  {line['check']}: {line['seen']}", flush=True)


def _verdict(lines: list[dict[str, Any]], console: Path, seconds: float, *, keep: bool) -> int:
    checks = [line for line in lines if "check" in line]
    wrong = [line["check"] for line in checks if not line["ok"]]
    done = any(line.get("done") for line in lines)
    print(
        f"{len(checks)} checks, {len(wrong)} of them wrong{'' if done else ', AND NOT ALL WERE MADE'}, {seconds:.0f} s"
    )
    if wrong or not done or keep:
        LOGS.mkdir(parents=True, exist_ok=True)
        shutil.copy(console, LOGS / "console.log")
        (LOGS / "journal.log").write_text("\n".join(line["journal"] for line in lines if "journal" in line))
        print(f"console and journal: {LOGS}")
    return 2 if not done else 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="boot", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prepare-inside", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--keep", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
