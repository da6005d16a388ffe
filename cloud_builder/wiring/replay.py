"""Replays the topics for the daemons of this machine, with copies of their states: see mesh/replay."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from cloud_builder.errors import Rejected
from cloud_builder.mesh import leadership
from cloud_builder.mesh.replay import ReplayReport, replay
from cloud_builder.model.role import Role
from cloud_builder.model.settings import Settings
from cloud_builder.ports.broker import Broker
from cloud_builder.ports.mesh import Flow

from . import assemble

_STATE = "state.sqlite"
_ROLES = {"scheduler": Role.SCHEDULER, "info": Role.INFO, "collector": Role.COLLECTOR, "request": Role.REQUEST}
_FLOWS = {Role.SCHEDULER: assemble.scheduler, Role.INFO: assemble.info}
"""The flows without effects outside of their state; the other daemons are replayed without their flow."""


def replay_daemons(settings: Settings, broker: Broker) -> Iterator[ReplayReport]:
    """Yields a report for each daemon whose state is on this machine. Runners have no state that topics could change.

    Rejected when there is no state here, Retryable while the broker cannot be reached."""
    found = [path for path in sorted(settings.home.glob(f"*/{_STATE}")) if _role(path) is not None]
    if not found:
        hint = "Run this on the machine of the daemons, as their user, with their --home."
        raise Rejected(f"no daemon keeps a state at {settings.home}", code="no-state", hint=hint)
    for path in found:
        if (result := _replay(path, settings, broker)) is not None:
            yield result


def _with_any_url(settings: Settings) -> Settings:
    """Returns settings with a made-up public URL: no link is opened, and only the collector may know its port."""
    collector = settings.collector.model_copy(update={"public_url": "http://replay"})
    return settings.model_copy(update={"collector": collector})


def _role(path: Path) -> Role | None:
    return _ROLES.get(path.parent.name.partition("-")[0])


def _replay(path: Path, settings: Settings, broker: Broker) -> ReplayReport | None:
    """Returns the report; None for a standby's copy, whose events another process handled."""
    from cloud_builder.adapters.sqlite.backup import backup
    from cloud_builder.adapters.sqlite.state import SqliteState

    role = _role(path)
    assert role is not None
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="replay-", dir=settings.home))
        backup(path, Path(directory) / _STATE)
        now = time.time()
        state = SqliteState(Path(directory) / _STATE)
        stack.callback(state.close)
        if leadership.is_replica(state):
            return None
        flow: Flow | None = _FLOWS[role](_with_any_url(settings), stack) if role in _FLOWS else None
        return replay(path.parent.name, role, flow, state, broker, now=now)
