"""Reads and writes `<home>/run`: what the daemons and cb-ctl must know about the running mesh.

broker.json     BrokerSettings: the address of this home's broker
up.json         the supervisor and its children, by pid and start time (another process can have the same pid later)
port.json       RepositoryPort: the port of the repositories, for the next `cb-ctl up`
up.lock         locked by the supervisor as long as it runs
up-error.json   why the last supervisor could not start
wake/           a socket for each reader of the embedded broker, by which senders wake it
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_builder.model.settings import BrokerSettings


@dataclass(frozen=True)
class Process:
    """A process. `started`, in clock ticks since boot, distinguishes it from a later process with the same pid."""

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
    """What the supervisor waits for; empty once the mesh is ready."""
    failing: tuple[str, ...] = ()
    """Daemons that have exited at least once."""


@dataclass(frozen=True)
class RepositoryPort:
    """The port at which the last mesh of a home served its repositories.

    setting   the setting `collector.port` at that time; another one later takes precedence
    is_any    it was chosen among the free ports
    """

    port: int
    setting: int
    is_any: bool = False


def broker_file(home: Path) -> Path:
    return home / "run" / "broker.json"


def up_file(home: Path) -> Path:
    return home / "run" / "up.json"


def lock_file(home: Path) -> Path:
    return home / "run" / "up.lock"


def error_file(home: Path) -> Path:
    """The file with the reason why the last supervisor could not start."""
    return home / "run" / "up-error.json"


def wake_directory(home: Path) -> Path:
    """The directory with the wake sockets of the embedded broker's readers."""
    return home / "run" / "wake"


def log_file(home: Path, name: str) -> Path:
    return home / "log" / f"{name}.log"


def broker_of(home: Path) -> BrokerSettings | None:
    """Returns the broker of this home's mesh; None if no mesh was ever started, or the file cannot be read."""
    from cloud_builder.model.settings import BrokerSettings

    try:
        return BrokerSettings.model_validate_json(broker_file(home).read_text())
    except (OSError, ValueError):
        return None


def write_broker(home: Path, broker: Mapping[str, Any]) -> None:
    """Writes the fields of BrokerSettings."""
    write_whole(broker_file(home), json.dumps(broker, indent=1), mode=0o600)


def load_port(home: Path) -> RepositoryPort | None:
    """Returns the port of the last mesh; None if no mesh was ever started, or the file cannot be read."""
    try:
        return RepositoryPort(**json.loads((home / "run" / "port.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save_port(home: Path, port: RepositoryPort) -> None:
    write_whole(home / "run" / "port.json", json.dumps(asdict(port)))


def running_mesh(home: Path) -> RunningMesh | None:
    """Returns the mesh that runs on this home; None if none does, even if a killed supervisor left its file."""
    mesh = last_written(home)
    return mesh if mesh is not None and is_alive(mesh.supervisor) else None


def last_written(home: Path) -> RunningMesh | None:
    """Returns what the last supervisor wrote, whether it still runs or not; None if there is nothing readable."""
    try:
        raw = json.loads(up_file(home).read_text())
        supervisor = Process(**raw["supervisor"])
        children = tuple(Process(**child) for child in raw["children"])
        failing = tuple(str(name) for name in raw.get("failing", ()))
        return RunningMesh(supervisor, children, str(raw.get("broker", "")), str(raw.get("stage", "")), failing)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_running_mesh(home: Path, mesh: RunningMesh) -> None:
    write_whole(up_file(home), json.dumps(asdict(mesh), indent=1))


def process(name: str, pid: int) -> Process:
    """Returns the process that has this pid now; `started` is 0 if there is none."""
    return Process(name, pid, start_time(pid))


def is_alive(recorded: Process) -> bool:
    return recorded.started != 0 and start_time(recorded.pid) == recorded.started


def start_time(pid: int) -> int:
    """Returns clock ticks from boot to a process's start (proc(5), field 22); 0: no process, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes a file so that readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    part.replace(path)
