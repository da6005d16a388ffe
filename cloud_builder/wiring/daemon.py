"""The five programs. Each reads its settings and runs one flow in a loop until SIGTERM or SIGINT.

Exit codes: 0 stopped by a signal, 2 wrong usage, 3 settings or rights that a person must fix, 4 anything else.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from cloud_builder import __version__
from cloud_builder.errors import CloudBuilderError, ExitCode
from cloud_builder.mesh import logs
from cloud_builder.mesh.clock import SteadyClock
from cloud_builder.mesh.loop import Loop
from cloud_builder.mesh.reader import CHECK_INTERVAL
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.role import Role
from cloud_builder.model.settings import Settings
from cloud_builder.ports.mesh import Flow

from . import assemble, parent_exit, standby, stop_signals
from .broker import connect
from .settings import load, parse_broker

Assemble = Callable[[Settings, ExitStack], Flow]

_CHECK_INTERVAL = 0.1
"""Seconds. With directed dispatch no offers arrive from other threads, so that an idle daemon can check less often. A
check costs 80 µs."""
_LOG = logging.getLogger("cb.daemon")


def request() -> None:
    """cb-request, request intake: turns requests and pushes into accepted requests."""
    sys.exit(run("request", assemble.request, sys.argv[1:]))


def scheduler() -> None:
    """cb-scheduler, the scheduler: owns all job state and dispatches jobs."""
    sys.exit(run("scheduler", assemble.scheduler, sys.argv[1:]))


def runner() -> None:
    """cb-runner, a build agent: carries out the jobs that it is assigned."""
    sys.exit(run("runner", assemble.runner, sys.argv[1:]))


def collector() -> None:
    """cb-collector, the publisher: signs built packages and publishes repositories."""
    sys.exit(run("collector", assemble.collector, sys.argv[1:]))


def info() -> None:
    """cb-info, the query service: answers queries about status and logs."""
    sys.exit(run("info", assemble.info, sys.argv[1:]))


def run(name: str, assemble_flow: Assemble, args: Sequence[str]) -> int:
    """Runs one daemon with these arguments; returns its exit code."""
    options = _parser(name).parse_args(args)
    stop = stop_signals.stop_on(signal.SIGTERM, signal.SIGINT)
    if options.parent:
        parent_exit.end_with(options.parent)
    try:
        settings = load(options.home, options.settings, _overrides(options))
        instance = _instance(name, settings)
        logs.configure(instance, settings.log_level, as_json=options.log_json)
        if name == "scheduler" and settings.scheduler.is_one_of_several:
            _tune_garbage_collection()
            standby.serve(settings, settings.home / instance, assemble_flow, stop)
        else:
            _serve(name, instance, settings, assemble_flow, stop)
    except CloudBuilderError as error:
        sys.stderr.write(f"cb-{name}: {error}\n")
        return error.exit_code
    except Exception:
        _LOG.exception("ended by a bug in Cloud Builder, please report it")
        return ExitCode.INFRASTRUCTURE
    return ExitCode.SUCCESS


def _instance(name: str, settings: Settings) -> str:
    """Returns the daemon's name among the processes of a home, which is also the name of its directory there."""
    if name == "runner":
        return settings.runner.id
    if name == "scheduler" and settings.scheduler.id:
        return f"{name}-{settings.scheduler.id}"
    return name


def _serve(name: str, instance: str, settings: Settings, assemble_flow: Assemble, stop: Event) -> None:
    from cloud_builder.adapters.sqlite.state import LARGE_CACHE, SMALL_CACHE, SqliteState
    from cloud_builder.adapters.systemd import notify

    directory = settings.home / instance
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        cache = SMALL_CACHE if name == "runner" else LARGE_CACHE
        state = SqliteState(directory / "state.sqlite", cache=cache)
        stack.callback(state.close)
        standby.refuse_copy(state)
        broker = connect(settings.broker, offers=settings.dispatch is Dispatch.SHARED_QUEUE)
        stack.callback(broker.close)
        flow = assemble_flow(settings, stack)
        _LOG.info("ready", extra={"home": settings.home, "broker": settings.broker.bootstrap, "version": __version__})
        _tune_garbage_collection()
        pulse = notify.of_environment(os.environ)
        if flow.role is Role.RUNNER:
            pulse = logs.batch_by_round(pulse)
        interval = _CHECK_INTERVAL if settings.dispatch is Dispatch.DIRECTED else CHECK_INTERVAL
        Loop(flow, broker, state, clock=SteadyClock(), health=pulse, check_interval=interval).run(stop)


def _tune_garbage_collection() -> None:
    """Exempts loaded modules from garbage collection, and makes collections rare.

    Frozen values form no reference cycles. The default, a collection after each 700 new objects, took a quarter of the
    scheduler's time under load."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _parser(name: str) -> argparse.ArgumentParser:
    purpose = str(getattr(sys.modules[__name__], name).__doc__)
    parser = argparse.ArgumentParser(prog=f"cb-{name}", description=purpose, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"cb-{name} {__version__}")
    parser.add_argument(
        "--home", type=_path, metavar="DIR", help="directory of the state of this machine's daemons [CB_HOME]"
    )
    parser.add_argument(
        "--settings", type=_path, metavar="FILE", help="settings file [CB_SETTINGS; default: settings.yml in the home]"
    )
    parser.add_argument("--broker", metavar="HOST:PORT,…", help="Kafka to connect to [CB_BROKER]")
    parser.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        help="least severe messages that are logged [CB_LOG_LEVEL]",
    )
    parser.add_argument("--log-json", action="store_true", help="log one JSON object a line")
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    if name == "runner":
        parser.add_argument("--id", metavar="ID", help="name of this runner, unique in the mesh [CB_RUNNER__ID]")
        parser.add_argument(
            "--slots", type=int, metavar="N", help="number of jobs that run at the same time [CB_RUNNER__SLOTS]"
        )
    if name == "scheduler":
        parser.add_argument("--standby", action="store_true", help="follow the leader, and take over when it fails")
        parser.add_argument("--id", metavar="ID", help="name of this scheduler, unique in the mesh [CB_SCHEDULER__ID]")
    if name == "collector":
        parser.add_argument("--port", type=int, metavar="N", help="port of the repositories [CB_COLLECTOR__PORT]")
    return parser


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    bootstrap = parse_broker(options.broker).bootstrap if options.broker else None
    return {
        "broker": {"bootstrap": bootstrap},
        "log_level": options.log_level,
        "runner": {"id": options.id, "slots": options.slots} if hasattr(options, "slots") else {},
        "scheduler": {"id": options.id, "standby": options.standby or None} if hasattr(options, "standby") else {},
        "collector": {"port": getattr(options, "port", None)},
    }


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()
