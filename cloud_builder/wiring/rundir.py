"""`<home>/run`: what a running mesh says of itself to its daemons and to cb-ctl.

broker.json   BrokerSettings: where the broker of this home is
up.json       the supervisor and its children, by pid and start time (a pid alone may have been given away since)
up.lock       held by the supervisor as long as it lives
wake/         a socket for each reader of the embedded broker, by which senders wake it
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cloud_builder.model.settings import BrokerSettings


@dataclass(frozen=True)
class Process:
    """A process that is told from a later one with the same pid by its start time (clock ticks since boot)."""

    name: str
    pid: int
    started: int


@dataclass(frozen=True)
class RunningMesh:
    """A mesh as `cb-ctl up` runs it."""

    supervisor: Process
    children: tuple[Process, ...] = ()
    broker: str = ""
    stage: str = ""
    """What it is doing; empty once the mesh is whole."""
    dying: tuple[str, ...] = ()
    """Daemons that have died at least once."""


def broker_file(home: Path) -> Path:
    return home / "run" / "broker.json"


def up_file(home: Path) -> Path:
    return home / "run" / "up.json"


def lock_file(home: Path) -> Path:
    return home / "run" / "up.lock"


def error_file(home: Path) -> Path:
    """Why the last supervisor could not go on."""
    return home / "run" / "up-error.json"


def wake_directory(home: Path) -> Path:
    """The wake sockets of those who read from the embedded broker."""
    return home / "run" / "wake"


def log_file(home: Path, name: str) -> Path:
    return home / "log" / f"{name}.log"


def broker_of(home: Path) -> BrokerSettings | None:
    """The broker of the mesh of this home; None when none was ever started or it left nothing readable."""
    try:
        return BrokerSettings.model_validate_json(broker_file(home).read_text())
    except (OSError, ValueError):
        return None


def write_broker(home: Path, broker: BrokerSettings) -> None:
    write_whole(broker_file(home), broker.model_dump_json(indent=1), mode=0o600)


def up_of(home: Path) -> RunningMesh | None:
    """The mesh that runs on this home; None when none does (whatever a killed one has left)."""
    up = last_written(home)
    return up if up is not None and is_alive(up.supervisor) else None


def last_written(home: Path) -> RunningMesh | None:
    """What the last supervisor wrote, whether it lives or not."""
    try:
        raw = json.loads(up_file(home).read_text())
        supervisor = Process(**raw["supervisor"])
        children = tuple(Process(**child) for child in raw["children"])
        dying = tuple(str(name) for name in raw.get("dying", ()))
        return RunningMesh(supervisor, children, str(raw.get("broker", "")), str(raw.get("stage", "")), dying)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_up(home: Path, up: RunningMesh) -> None:
    write_whole(up_file(home), json.dumps(asdict(up), indent=1))


def process(name: str, pid: int) -> Process:
    """A process as it is now; `started` is 0 when there is none."""
    return Process(name, pid, start_time(pid))


def is_alive(seen: Process) -> bool:
    return seen.started != 0 and start_time(seen.pid) == seen.started


def start_time(pid: int) -> int:
    """Clock ticks from boot to the start of a process (proc(5), field 22); 0: there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    part.replace(path)
