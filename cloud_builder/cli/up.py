"""`cb-ctl up`: starts the whole mesh on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode, Retryable

from .doctor import preflight
from .options import home_option, json_option, options_of
from .output import print_result
from .session import Session, session
from .startup import make_mesh_spec, start, wait_until_up

if TYPE_CHECKING:
    from cloud_builder.adapters.process import Popen
    from cloud_builder.wiring.rundir import RunningMesh


@click.command()
@click.option("--detach", "-d", is_flag=True, help="Return when the mesh is ready; it runs on.")
@click.option(
    "--runners", type=click.IntRange(0, 64), default=1, show_default=True, metavar="N", help="Number of runners."
)
@click.option(
    "--broker", metavar="embedded|HOST:PORT,…", help="Kafka to use [default: that of the settings, else embedded]."
)
@click.option(
    "--source", "sources", multiple=True, metavar="NAME=URL", help="Follow this git repository; can be repeated."
)
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Jobs that a runner builds at the same time [default: that of the settings].",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Port of the repositories; 0: any free one [default: that of the last time, else of the settings, 8480].",
)
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

    Without --detach the mesh runs until Ctrl-C. Its state is stored in --home: `up` after `down` continues with it."""
    from cloud_builder.wiring.rundir import running_mesh

    urls = dict(_parse_source(source) for source in sources)
    with session() as mesh:
        home = mesh.settings.home
        if running := running_mesh(home):
            _report_running(mesh, running)
            _warn_of_ignored({"--broker": broker, "--slots": slots, "--port": port})
            _add_sources(mesh, urls)
            return ExitCode.SUCCESS
        preflight(mesh.settings, runners)
        spec = make_mesh_spec(
            mesh,
            runners,
            broker or options_of(click.get_current_context()).broker,
            slots=slots,
            port=port,
            detach=detach,
        )
        supervisor = start(spec)
        try:
            wait_until_up(supervisor, mesh)
        except KeyboardInterrupt:
            supervisor.terminate()
            supervisor.wait()
            raise
    with session() as mesh:
        _add_sources(mesh, urls)
        _report_up(mesh, detach)
        return ExitCode.SUCCESS if detach else _wait_for_end(supervisor)


def _parse_source(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not (name and equals and url):
        raise click.BadParameter(f"{text!r} is not NAME=URL.", param_hint="--source")
    return name, url


def _add_sources(mesh: Session, urls: dict[str, str]) -> None:
    from .source import absolute_url, problem_line, read_line, send_source, wait_for_source

    for name, url in urls.items():
        send_source(mesh, name, url)
    for name, url in urls.items():
        try:
            row = wait_for_source(mesh, name, absolute_url(url))
        except Retryable as unread:
            click.echo(f"warning: {unread}", err=True)
            continue
        click.echo(f"source {name}: {read_line(row)}", err=True)
        for problem in row["problems"]:
            click.echo(f"  {problem_line(problem)}", err=True)


def _report_up(mesh: Session, detach: bool) -> None:
    found = _description(mesh)
    next_steps = "cb-ctl status, cb-ctl request --all --watch, cb-ctl down" if detach else "Ctrl-C stops it"
    print_result(
        mesh.json,
        found,
        f"up: {', '.join(found['daemons'])} on {found['broker']}, state in {found['home']}\n  {next_steps}",
    )


def _report_running(mesh: Session, running: RunningMesh) -> None:
    found = _description(mesh)
    stage = f" ({running.stage})" if running.stage else ""
    print_result(
        mesh.json,
        found,
        f"already up{stage}: {', '.join(found['daemons'])} on {found['broker']}, state in {found['home']}",
    )


def _warn_of_ignored(options: dict[str, object]) -> None:
    """Warns of options that a running mesh does not take over."""
    if given := [name for name, value in options.items() if value is not None]:
        click.echo(
            f"warning: {', '.join(given)} ignored, because the mesh runs already; run `cb-ctl down` first", err=True
        )


def _description(mesh: Session) -> dict[str, Any]:
    from cloud_builder.wiring.rundir import broker_of, running_mesh

    home = mesh.settings.home
    running, broker = running_mesh(home), broker_of(home)
    kind = "the embedded broker " if broker and broker.embedded else "Kafka "
    return {
        "home": str(home),
        "broker": kind + (broker.bootstrap if broker else "?"),
        "daemons": [child.name for child in running.children] if running else [],
        "pid": running.supervisor.pid if running else 0,
    }


def _wait_for_end(supervisor: Popen[bytes]) -> int:
    """Waits for Ctrl-C, or until the supervisor ends (after `cb-ctl down` elsewhere); returns the exit code."""
    try:
        supervisor.wait()
    except KeyboardInterrupt:
        click.echo("stopping …", err=True)
        supervisor.terminate()
        supervisor.wait()
        return ExitCode.INTERRUPTED
    return ExitCode.SUCCESS if supervisor.returncode == 0 else ExitCode.INFRASTRUCTURE
