"""`cb-ctl up` and `down`: the whole mesh on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import CloudBuilderError, ExitCode, Rejected, Retryable

from .options import global_options, home_option, json_option, said
from .output import show_json
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.adapters.process import Popen
    from cloud_builder.wiring.rundir import Up
    from cloud_builder.wiring.supervisor import Plan

UP_WITHIN = 60.0
"""Seconds until the whole mesh must answer."""
DOWN_WITHIN = 60.0
LOOK_EVERY = 0.1


@click.command()
@click.option("--detach", "-d", is_flag=True, help="Return when the mesh answers; it runs on.")
@click.option(
    "--runners", type=click.IntRange(0, 64), default=1, show_default=True, metavar="N", help="How many build."
)
@click.option("--broker", metavar="embedded|HOST:PORT,…", help="Kafka to use [the settings', else embedded].")
@click.option(
    "--source", "sources", multiple=True, metavar="NAME=URL", help="Follow a git repository; may be repeated."
)
@click.option("--slots", type=click.IntRange(1, 256), metavar="N", help="Jobs at the same time, a runner.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Of the repositories [8480; 0: any free one].")
@home_option
@json_option
def up(
    *,
    detach: bool,
    runners: int,
    broker: str | None,
    sources: tuple[str, ...],
    slots: int | None,
    port: int | None,
) -> int:
    """Start the whole mesh on this machine: a broker, the five daemons, N runners.

    Without --detach it runs until Ctrl-C. State is kept in --home, so that `down` and `up` lose nothing."""
    from cloud_builder.wiring.rundir import up_of

    wanted = dict(_named(source) for source in sources)
    with session() as mesh:
        home = mesh.settings.home
        if running := up_of(home):
            _say_running(mesh, running)
            _add_sources(mesh, wanted)
            return ExitCode.SUCCESS
        plan = _plan(
            mesh, runners, broker or said(click.get_current_context()).broker, slots=slots, port=port, detach=detach
        )
        supervisor = _start(plan)
        try:
            _wait_until_up(supervisor, mesh)
        except KeyboardInterrupt:
            supervisor.terminate()
            supervisor.wait()
            raise
    with session() as mesh:
        _add_sources(mesh, wanted)
        _say_up(mesh, detach)
        return ExitCode.SUCCESS if detach else _stay(supervisor)


@click.command()
@global_options
def down() -> int:
    """Stop the mesh of this machine. Builds under way are handed back; the state stays."""
    from cloud_builder.wiring.rundir import is_alive, up_of, written_up

    with session() as mesh:
        home = mesh.settings.home
        running = up_of(home)
        if running is None:
            left = [child for child in getattr(written_up(home), "children", ()) if is_alive(child)]
            if not left:
                _say(mesh, {"stopped": []}, f"no mesh is running at {home}")
                return ExitCode.SUCCESS
            _end_all([child.pid for child in left])
            _say(mesh, {"stopped": [child.name for child in left]}, f"stopped what was left of the mesh at {home}")
            return ExitCode.SUCCESS
        os.kill(running.supervisor.pid, signal.SIGTERM)
        _wait_until_down(mesh, running)
        names = [child.name for child in running.children]
        _say(mesh, {"stopped": names}, f"stopped: {', '.join(names)}")
        return ExitCode.SUCCESS


def _named(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not (name and equals and url):
        raise click.BadParameter(f"{text!r} is not NAME=URL", param_hint="--source")
    return name, url


def _plan(
    mesh: Session, runners: int, broker: str | None, *, slots: int | None, port: int | None, detach: bool
) -> Plan:
    from cloud_builder.wiring.settings import BrokerFrom, parse_broker, read
    from cloud_builder.wiring.supervisor import Plan

    home = mesh.settings.home
    loaded = read(said(click.get_current_context()).home)
    named = loaded.settings.broker if loaded.broker_from is BrokerFrom.SAID else None
    if broker == "embedded":
        named = None
    elif broker:
        options = named.options if named else {}
        named = parse_broker(broker).model_copy(update={"options": options})
    flags = {"CB_RUNNER__SLOTS": slots, "CB_COLLECTOR__PORT": port, "CB_CACHE": mesh.settings.cache}
    if port == 0:
        flags["CB_COLLECTOR__PORT"] = _free_port()
    else:
        _check_port(loaded.settings.collector.host, port or loaded.settings.collector.port)
    environment = {name: str(value) for name, value in flags.items() if value is not None}
    return Plan(home, runners, named, environment, parent=0 if detach else os.getpid())


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


def _start(plan: Plan) -> Popen[bytes]:
    from cloud_builder.adapters.process import spawn
    from cloud_builder.wiring.rundir import error_file, log_file

    log = log_file(plan.home, "up")
    log.parent.mkdir(parents=True, exist_ok=True)
    error_file(plan.home).unlink(missing_ok=True)
    command = [sys.executable, "-m", "cloud_builder.wiring.supervisor", plan.as_json()]
    with log.open("ab") as file:
        return spawn(command, cwd=Path("/"), stdout=file, stderr=file, new_session=True)


def _wait_until_up(supervisor: Popen[bytes], mesh: Session) -> None:
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
            deadline = min(deadline, time.monotonic() + 10.0)
        time.sleep(LOOK_EVERY)
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


def _add_sources(mesh: Session, wanted: dict[str, str]) -> None:
    from .source import absolute_url, problem_line, send_source, wait_for_source

    for name, url in wanted.items():
        send_source(mesh, name, url)
    for name, url in wanted.items():
        try:
            row = wait_for_source(mesh, name, absolute_url(url))
        except Retryable as unread:
            click.echo(f"warning: {unread}", err=True)
            continue
        click.echo(f"source {name}: {row['units']} units at {row['revision'][:12]} on {row['branch']}", err=True)
        for problem in row["problems"]:
            click.echo(f"  {problem_line(problem)}", err=True)


def _say_up(mesh: Session, detach: bool) -> None:
    found = _description(mesh)
    ways = "cb-ctl status, cb-ctl request --all --watch, cb-ctl down" if detach else "Ctrl-C stops it"
    _say(mesh, found, f"up: {', '.join(found['daemons'])} on {found['broker']}, state in {found['home']}\n  {ways}")


def _say_running(mesh: Session, running: Up) -> None:
    found = _description(mesh)
    stage = f" ({running.stage})" if running.stage else ""
    _say(
        mesh, found, f"already up{stage}: {', '.join(found['daemons'])} on {found['broker']}, state in {found['home']}"
    )


def _description(mesh: Session) -> dict[str, Any]:
    from cloud_builder.wiring.rundir import broker_of, up_of

    home = mesh.settings.home
    running, broker = up_of(home), broker_of(home)
    kind = "the embedded broker " if broker and broker.embedded else "Kafka "
    return {
        "home": str(home),
        "broker": kind + (broker.bootstrap if broker else "?"),
        "daemons": [child.name for child in running.children] if running else [],
        "pid": running.supervisor.pid if running else 0,
    }


def _stay(supervisor: Popen[bytes]) -> int:
    """Until Ctrl-C, or until the supervisor ends by itself (`cb-ctl down` elsewhere)."""
    try:
        supervisor.wait()
    except KeyboardInterrupt:
        click.echo("stopping …", err=True)
        supervisor.terminate()
        supervisor.wait()
        return ExitCode.INTERRUPTED
    return ExitCode.SUCCESS if supervisor.returncode == 0 else ExitCode.INFRASTRUCTURE


def _wait_until_down(mesh: Session, running: Up) -> None:
    from cloud_builder.wiring.rundir import is_alive

    deadline = time.monotonic() + DOWN_WITHIN
    while is_alive(running.supervisor):
        if time.monotonic() > deadline:
            hint = f"kill -9 {running.supervisor.pid}; its children end with it."
            raise Retryable(f"the mesh did not stop within {DOWN_WITHIN:g} s", code="not-down", hint=hint)
        time.sleep(LOOK_EVERY)


def _end_all(pids: list[int]) -> None:
    from cloud_builder.wiring.rundir import start_time

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            if start_time(pid):
                os.kill(pid, number)
        deadline = time.monotonic() + 10.0
        while any(start_time(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)


def _say(mesh: Session, data: dict[str, Any], text: str) -> None:
    if mesh.json:
        show_json(data)
    else:
        click.echo(text)
