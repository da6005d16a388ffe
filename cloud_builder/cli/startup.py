"""Starting the supervisor for `cb-ctl up`: what to run, on which port, until the mesh answers or why it does not."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud_builder.errors import CloudBuilderError, Rejected, Retryable

from .options import options_of
from .session import Session

if TYPE_CHECKING:
    from cloud_builder.adapters.process import Popen
    from cloud_builder.wiring.supervisor import MeshSpec

UP_WITHIN = 180.0
"""Seconds until the whole mesh must answer: 5 on a quiet machine, a minute and more on a busy one."""
DYING_WITHIN = 30.0
"""Seconds for a daemon that has died to come back."""
POLL_INTERVAL = 0.1


def make_mesh_spec(
    mesh: Session, runners: int, broker: str | None, *, slots: int | None, port: int | None, detach: bool
) -> MeshSpec:
    from cloud_builder.wiring.broker import require_share_groups
    from cloud_builder.wiring.public_url import public_url
    from cloud_builder.wiring.settings import BrokerFrom, parse_broker, read
    from cloud_builder.wiring.supervisor import MeshSpec

    home = mesh.settings.home
    loaded = read(options_of(click.get_current_context()).home)
    named = loaded.settings.broker if loaded.broker_from is BrokerFrom.SAID else None
    if broker == "embedded":
        named = None
    elif broker:
        options = named.options if named else {}
        named = parse_broker(broker).model_copy(update={"options": options})
    flags = {"CB_RUNNER__SLOTS": slots, "CB_COLLECTOR__PORT": port, "CB_CACHE": mesh.settings.cache}
    require_share_groups(loaded.settings.dispatch, named)
    collector = loaded.settings.collector
    if (collector.port if port is None else port) == 0:
        flags["CB_COLLECTOR__PORT"] = port = _free_port()
    else:
        _check_port(collector.host, port or collector.port)
    public_url(collector.model_copy(update={"port": port or collector.port}))
    environment = {name: str(value) for name, value in flags.items() if value is not None}
    return MeshSpec(home, runners, named, environment, parent=0 if detach else os.getpid())


def _free_port() -> int:
    """Every daemon must know the port, so that it is chosen here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_port(host: str, port: int) -> None:
    """Rejected when the repositories could not be served: better now than from the log of a daemon."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as taken:
            raise Rejected(
                f"repositories cannot be served at {host}:{port}: {taken.strerror}",
                code="cannot-listen",
                hint="Choose another with --port N (0: any free one).",
            ) from None


def start(plan: MeshSpec) -> Popen[bytes]:
    from cloud_builder.adapters.process import spawn
    from cloud_builder.wiring.rundir import error_file, log_file

    log = log_file(plan.home, "up")
    log.parent.mkdir(parents=True, exist_ok=True)
    error_file(plan.home).unlink(missing_ok=True)
    command = [sys.executable, "-m", "cloud_builder.wiring.supervisor", plan.as_json()]
    with log.open("ab") as file:
        return spawn(command, cwd=Path("/"), stdout=file, stderr=file, new_session=True)


def wait_until_up(supervisor: Popen[bytes], mesh: Session) -> None:
    """Until the mesh answers, saying what is being waited for."""
    from cloud_builder.wiring.rundir import up_of

    home = mesh.settings.home
    deadline = time.monotonic() + UP_WITHIN
    told = ""
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            raise _could_not_start(home)
        state = up_of(home)
        if state is not None and not state.stage and state.supervisor.pid == supervisor.pid:
            return
        if state is not None and state.stage != told:
            told = state.stage
            click.echo(f"{told} …", err=True)
        if state is not None and state.dying:
            deadline = min(deadline, time.monotonic() + DYING_WITHIN)
        time.sleep(POLL_INTERVAL)
    supervisor.terminate()
    supervisor.wait()
    raise _not_up(home, told, getattr(state, "dying", ()))


def _could_not_start(home: Path) -> CloudBuilderError:
    from cloud_builder.wiring.rundir import error_file, log_file

    try:
        why = json.loads(error_file(home).read_text())
        message, _, hint = str(why["message"]).partition("\n")
        return Retryable(f"the mesh cannot start: {message}", code=str(why["code"]), hint=hint.strip())
    except (OSError, ValueError):
        return Retryable(
            f"the mesh ended at once{_last_words(home, 'up')}", code="not-up", hint=f"See {log_file(home, 'up')}."
        )


def _not_up(home: Path, stage: str, dying: tuple[str, ...]) -> CloudBuilderError:
    from cloud_builder.wiring.rundir import log_file

    name = dying[0] if dying else "up"
    blame = f"; {', '.join(dying)} died" if dying else ""
    return Retryable(
        f"the mesh is not whole in time ({stage}{blame}){_last_words(home, name)}",
        code="not-up",
        hint=f"See {log_file(home, name)}; then try again.",
    )


def _last_words(home: Path, name: str) -> str:
    from cloud_builder.wiring.rundir import log_file

    try:
        lines = log_file(home, name).read_text(errors="replace").splitlines()[-3:]
    except OSError:
        return ""
    return "".join(f"\n  | {line}" for line in lines)
