"""The mesh under test: a broker, the daemons as processes in a home of their own, and what can be done to them.

Each daemon has its own line to the broker (proxy.py), a clock of its own (clock_skew.py), and, when we may mount one,
a small file system of its own. Must leave nothing behind, however a run ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos.proxy import Line, Proxies, Proxy
from chaos.variant import RunVariant
from support.kafka_server import JavaServer, fetched_jars, free_ports

CLOCK_SKEW = Path(__file__).with_name("clock_skew.py")
STORE = "store"
"""Name of the disk with the object store, which several daemons use."""
STOP_SECONDS = 60.0
"""The longest wait for the end of a daemon that was signaled to stop, on a busy machine."""


@dataclass(frozen=True)
class Abilities:
    """The privileges that this machine gives to the run."""

    disks: bool

    @classmethod
    def found(cls) -> Abilities:
        return cls(_can_mount())

    def missing(self) -> list[str]:
        return [] if self.disks else ["full disks: small file systems can only be mounted by root"]


@dataclass
class DaemonProcess:
    """One daemon as a process. `restarts`: it is started again when it dies, as `cb-ctl up` would."""

    name: str
    environment: Mapping[str, str]
    log: Path
    clock: Path
    """The file with the seconds by which its clock is ahead."""
    process: subprocess.Popen[bytes] | None = None
    restarts: bool = True
    due: float = 0.0
    exits: list[int] = field(default_factory=list)
    """Exit statuses, except those after `kill`."""

    def start(self) -> None:
        role, _, number = self.name.partition("-")
        words = [sys.executable, "-P", str(CLOCK_SKEW), str(self.clock), role]
        words += ["--id", self.name if role == "runner" else number] if number else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def tend(self, now: float) -> None:
        if self.process is not None and (status := self.process.poll()) is not None:
            self.process = None
            self.exits.append(status)
            self.due = now + 0.5
        if self.process is None and self.restarts and now >= self.due:
            self.start()

    def kill(self, back_after: float) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.due = time.monotonic() + back_after

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class Cluster:
    """The mesh of one run. `environment`: CB_* settings of all daemons."""

    def __init__(self, abilities: Abilities, variant: RunVariant, environment: Mapping[str, str]) -> None:
        self.abilities, self._variant = abilities, variant
        self.home = Path(tempfile.mkdtemp(prefix="cb-chaos-", dir="/var/tmp"))
        self._proxies = Proxies()
        self.names, self.schedulers = variant.daemons, variant.schedulers
        self.port, *ports = free_ports(2 * len(self.names) + 1)
        own, other = ports[: len(self.names)], ports[len(self.names) :]
        links = {_link(name): (own[at], other[at]) for at, name in enumerate(self.names)}
        self.kafka = JavaServer(fetched_jars(), links)
        self.lines: dict[str, Proxy] = {
            name: self._proxies.open(links[_link(name)][1], links[_link(name)][0]) for name in self.names
        }
        self.mounts: list[str] = []
        for name in (*self.names, STORE) if abilities.disks else ():
            self._mount(self.home / name)
        (self.home / "log").mkdir()
        self.daemons = {
            name: DaemonProcess(
                name, self._environment(links[_link(name)][1], environment), self.log_of(name), self._clock(name)
            )
            for name in self.names
        }

    def log_of(self, name: str) -> Path:
        return self.home / "log" / f"{name}.log"

    def start(self) -> None:
        self.kafka.start()
        for daemon in self.daemons.values():
            daemon.start()

    def tend(self) -> None:
        for daemon in self.daemons.values():
            daemon.tend(time.monotonic())

    # --- faults -------------------------------------------------------------------------------------------------

    def freeze(self, name: str, frozen: bool) -> None:
        number = signal.SIGSTOP if frozen else signal.SIGCONT
        (self.kafka if name == "broker" else self.daemons[name]).signal(number)

    def fill(self, disk: str, full: bool) -> None:
        ballast = self.home / disk / ".ballast"
        if not full:
            ballast.unlink(missing_ok=True)
            return
        try:
            with ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(65536))
        except OSError:
            return

    def set_clock(self, name: str, offset: int) -> None:
        """Sets the wall clock of a daemon. `offset`: seconds ahead of the true time."""
        file = self._clock(name)
        temporary = file.with_suffix(".new")
        temporary.write_text(f"{offset:+d}")
        temporary.rename(file)

    def heal(self) -> None:
        """Ends all faults: of processes, connections, clocks and disks."""
        self.freeze("broker", False)
        for name, daemon in self.daemons.items():
            self.freeze(name, False)
            self.lines[name].be(Line.WELL)
            self.set_clock(name, 0)
            daemon.restarts = True
        for disk in (*self.names, STORE) if self.abilities.disks else ():
            self.fill(disk, False)

    def stop_daemons(self) -> list[str]:
        """Sends SIGTERM to all daemons; returns those that did not end within STOP_SECONDS."""
        for daemon in self.daemons.values():
            daemon.restarts = False
            daemon.signal(signal.SIGTERM)
        late, until = [], time.monotonic() + STOP_SECONDS
        for name, daemon in self.daemons.items():
            if daemon.process is None:
                continue
            try:
                daemon.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                late.append(name)
                daemon.kill(0)
        return late

    def keep_logs(self) -> str:
        """Copies the logs to a directory that stays; returns it."""
        kept = Path(tempfile.mkdtemp(prefix="cb-chaos-logs-"))
        shutil.copytree(self.home / "log", kept, dirs_exist_ok=True)
        return str(kept)

    def close(self) -> None:
        self.heal()
        for daemon in self.daemons.values():
            daemon.restarts = False
            daemon.kill(0)
        self.kafka.close()
        for proxy in self.lines.values():
            proxy.close()
        self._proxies.close()
        for mount in self.mounts:
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _environment(self, port: int, more: Mapping[str, str]) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return {
            **kept,
            "CB_HOME": str(self.home),
            "CB_CACHE": str(self._variant.cache(self.home)),
            "CB_BROKER": f"127.0.0.1:{port}",
            "CB_COLLECTOR__PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **more,
        }

    def _clock(self, name: str) -> Path:
        return self.home / f"clock-{name}"

    def _mount(self, directory: Path) -> None:
        directory.mkdir()
        options = f"size={self._variant.room(directory.name)},mode=0755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "cb-chaos", str(directory)], check=True)
        self.mounts.append(str(directory))


def _link(name: str) -> str:
    return name.upper().replace("-", "_")


def _can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as directory:
        if subprocess.run(["mount", "-t", "tmpfs", "none", directory], capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", directory], check=True)
    return True
