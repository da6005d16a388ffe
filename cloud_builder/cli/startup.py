"""Starts the supervisor for `cb-ctl up`, and waits until the mesh is ready or reports why it is not."""

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
    from cloud_builder.model.settings import CollectorSettings
    from cloud_builder.wiring.supervisor import MeshSpec

START_TIMEOUT = 180.0
"""Seconds until the mesh must be ready: it takes 5 on a quiet machine, a minute and more on a busy one."""
RESTART_TIMEOUT = 30.0
"""Seconds until the mesh must be ready after a daemon has exited."""
POLL_INTERVAL = 0.1


def make_mesh_spec(
    mesh: Session, runners: int, broker: str | None, *, slots: int | None, port: int | None, detach: bool
) -> MeshSpec:
    """Returns what to run. Rejected for settings with which the mesh cannot run. `broker`: that of the command line."""
    from cloud_builder.wiring.broker import require_share_groups
    from cloud_builder.wiring.public_url import public_url
    from cloud_builder.wiring.settings import BrokerOrigin, parse_broker, read
    from cloud_builder.wiring.supervisor import MeshSpec

    home = mesh.settings.home
    loaded = read(options_of(click.get_current_context()).home)
    named = loaded.settings.broker if loaded.broker_origin is BrokerOrigin.CONFIGURED else None
    if broker == "embedded":
        named = None
    elif broker:
        options = named.options if named else {}
        named = parse_broker(broker).model_copy(update={"options": options})
    require_share_groups(loaded.settings.dispatch, named)
    chosen = choose_port(home, loaded.settings.collector, port)
    public_url(loaded.settings.collector.model_copy(update={"port": chosen}))
    variables = {"CB_RUNNER__SLOTS": slots, "CB_COLLECTOR__PORT": chosen, "CB_CACHE": mesh.settings.cache}
    environment = {name: str(value) for name, value in variables.items() if value is not None}
    fields = named.model_dump() if named else None
    return MeshSpec(home, runners, fields, environment, parent=0 if detach else os.getpid())


def choose_port(home: Path, settings: CollectorSettings, named: int | None) -> int:
    """Returns the port of the repositories, and remembers it: clients have it in their sources.

    `named`: that of the command line; 0: any free one; None: that of the last mesh of this home, unless the setting
    has changed since, else the setting. A remembered port that was chosen among the free ones, and is not free now, is
    replaced with a warning. Rejected when any other port is not free."""
    from cloud_builder.wiring.rundir import RepositoryPort, load_port, save_port

    last = load_port(home)
    if last is not None and last.setting != settings.port:
        last = None
    is_any = named == 0 or (named is None and (last.is_any if last else settings.port == 0))
    if is_any:
        port = _any_port(settings.host, last.port if last else 0)
    else:
        port = named or (last.port if last else settings.port)
        _check_port(settings.host, port)
    save_port(home, RepositoryPort(port, settings.port, is_any))
    return port


def _any_port(host: str, last: int) -> int:
    """Returns the last port if it is free, else any free one."""
    if last:
        try:
            _check_port(host, last)
        except Rejected as taken:
            click.echo(f"warning: {taken.message}; another port is used: change the sources of your clients", err=True)
        else:
            return last
    return _free_port()


def _free_port() -> int:
    """Returns a free port. Every daemon must know the port, so that it is chosen before they start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_port(host: str, port: int) -> None:
    """Rejected when the repositories cannot be served; otherwise only the log of a daemon would show it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Rejected(
                f"repositories cannot be served at {host}:{port}: {error.strerror}",
                code="cannot-listen",
                hint="Choose another port with --port N (0: any free one).",
            ) from None


def start(spec: MeshSpec) -> Popen[bytes]:
    """Starts the supervisor in a session of its own."""
    from cloud_builder.adapters.process import spawn
    from cloud_builder.wiring.rundir import error_file, log_file

    log = log_file(spec.home, "up")
    log.parent.mkdir(parents=True, exist_ok=True)
    error_file(spec.home).unlink(missing_ok=True)
    command = [sys.executable, "-m", "cloud_builder.wiring.supervisor", spec.as_json()]
    with log.open("ab") as file:
        return spawn(command, cwd=Path("/"), stdout=file, stderr=file, new_session=True)


def wait_until_up(supervisor: Popen[bytes], mesh: Session) -> None:
    """Waits until the mesh is ready; prints what it waits for. Retryable with the cause when it does not get ready."""
    from cloud_builder.wiring.rundir import running_mesh

    home = mesh.settings.home
    deadline = time.monotonic() + START_TIMEOUT
    stage = ""
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            raise _could_not_start(home)
        mesh_state = running_mesh(home)
        if mesh_state is not None and not mesh_state.stage and mesh_state.supervisor.pid == supervisor.pid:
            return
        if mesh_state is not None and mesh_state.stage != stage:
            stage = mesh_state.stage
            click.echo(f"{stage} …", err=True)
        if mesh_state is not None and mesh_state.failing:
            deadline = min(deadline, time.monotonic() + RESTART_TIMEOUT)
        time.sleep(POLL_INTERVAL)
    supervisor.terminate()
    supervisor.wait()
    raise _not_ready(home, stage, getattr(mesh_state, "failing", ()))


def _could_not_start(home: Path) -> CloudBuilderError:
    from cloud_builder.wiring.rundir import error_file, log_file

    try:
        cause = json.loads(error_file(home).read_text())
        message, _, hint = str(cause["message"]).partition("\n")
        return Retryable(f"the mesh cannot start: {message}", code=str(cause["code"]), hint=hint.strip())
    except (OSError, ValueError):
        return Retryable(
            f"the supervisor ended at once{_last_log_lines(home, 'up')}",
            code="not-up",
            hint=f"See {log_file(home, 'up')}.",
        )


def _not_ready(home: Path, stage: str, failing: tuple[str, ...]) -> CloudBuilderError:
    from cloud_builder.wiring.rundir import log_file

    name = failing[0] if failing else "up"
    cause = f"; {', '.join(failing)} exited" if failing else ""
    return Retryable(
        f"the mesh did not get ready in time ({stage}{cause}){_last_log_lines(home, name)}",
        code="not-up",
        hint=f"Fix the cause in {log_file(home, name)}, and run `cb-ctl up` again.",
    )


def _last_log_lines(home: Path, name: str) -> str:
    from cloud_builder.wiring.rundir import log_file

    try:
        lines = log_file(home, name).read_text(errors="replace").splitlines()[-3:]
    except OSError:
        return ""
    return "".join(f"\n  | {line}" for line in lines)
