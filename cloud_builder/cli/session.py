"""One command's connection to the mesh: settings, a client, and queries whose errors name a next step."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import Rejected, Retryable

from .options import GlobalOptions, options_of
from .terminal import sanitize_all

if TYPE_CHECKING:
    from cloud_builder.mesh.client import Client
    from cloud_builder.model.events import Payload
    from cloud_builder.model.settings import Settings
    from cloud_builder.ports.broker import Broker
    from cloud_builder.wiring.settings import LoadedSettings

ANSWER_TIMEOUT = 30.0
"""Seconds to wait for an answer of cb-info. An answer takes milliseconds, on a busy machine ten seconds and more."""


class Session:
    """The connection of one command. Connects at the first query, so that other commands need no mesh."""

    def __init__(self, options: GlobalOptions) -> None:
        self._options = options
        self._client: Client | None = None

    @property
    def json(self) -> bool:
        return self._options.json

    @cached_property
    def _loaded(self) -> LoadedSettings:
        from cloud_builder.wiring.settings import parse_broker, read

        given = self._options.broker if self._options.broker != "embedded" else None
        broker = {"bootstrap": parse_broker(given).bootstrap} if given else None
        return read(self._options.home, overrides={"broker": broker})

    @property
    def settings(self) -> Settings:
        return self._loaded.settings

    @property
    def is_remote(self) -> bool:
        """True when the mesh was not started on this machine by `cb-ctl up`."""
        from cloud_builder.wiring.rundir import running_mesh

        return running_mesh(self.settings.home) is None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        from cloud_builder.mesh.client import Client

        return Client(self.broker, f"cb-ctl/{socket.gethostname()}")

    @cached_property
    def broker(self) -> Broker:
        """The broker itself, for commands that read topics. Retryable when no mesh is running on this machine."""
        from cloud_builder.wiring.broker import connect
        from cloud_builder.wiring.rundir import running_mesh
        from cloud_builder.wiring.settings import BrokerOrigin

        home = self.settings.home
        down = self._loaded.broker_origin is BrokerOrigin.HOME and running_mesh(home) is None
        if down or self._loaded.broker_origin is BrokerOrigin.NONE:
            raise Retryable(
                f"no mesh is running at {home}",
                code="no-mesh",
                hint="Start one with `cb-ctl up --detach`, or name a running one with --home or --broker.",
            )
        return connect(self.settings.broker)

    def send(self, payload: Payload) -> None:
        self.client.send(payload)

    def query(self, what: str, timeout: float = ANSWER_TIMEOUT, **args: Any) -> Any:
        """Returns the data of cb-info's answer, without control characters unless the output is JSON or a log.

        Raises Rejected for a name that cb-info does not have, Retryable when cb-info does not answer."""
        client = self.client
        try:
            answer = client.query(what, {key: value for key, value in args.items() if value}, timeout)
        except Retryable as cause:
            raise self._unanswered(cause) from cause
        if answer.code:
            raise Rejected(answer.message, code=answer.code, hint=answer.hint)
        return answer.data if self.json or what == "log" else sanitize_all(answer.data)

    def pages(self, what: str, most: int = 0, **args: Any) -> list[dict[str, Any]]:
        """Returns all rows of a list view, or the first `most`. Queries up to 1000 rows at a time."""
        rows: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            count = min(1000, most - len(rows)) if most else 1000
            page = self.query(what, most=count, after=after, **args)
            rows += page["items"]
            after = page["next"]
            if after is None or (most and len(rows) >= most):
                return rows

    def _unanswered(self, cause: Retryable) -> Retryable:
        from cloud_builder.wiring.rundir import log_file, running_mesh

        home = self.settings.home
        if running_mesh(home) is not None:
            hint = f"See {log_file(home, 'info')}. To restart the mesh: `cb-ctl down`, then `cb-ctl up`."
        else:
            hint = f"Check that cb-info is running, and that {self.settings.broker.bootstrap} is the right broker."
        return Retryable(f"cb-info does not answer: {cause.message}", code=cause.code, hint=cause.hint or hint)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        if "broker" in self.__dict__:
            self.broker.close()


@contextmanager
def session() -> Iterator[Session]:
    """Opens a session with the options of the current command, and closes it at the end."""
    current = Session(options_of(click.get_current_context()))
    try:
        yield current
    finally:
        current.close()
