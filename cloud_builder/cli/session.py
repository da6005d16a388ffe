"""One command's connection to the mesh: settings, a client, questions whose errors are said for people."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import Rejected, Retryable

from .options import GlobalOptions, said
from .terminal import sanitize_all

if TYPE_CHECKING:
    from cloud_builder.mesh.client import Client
    from cloud_builder.model.events import Payload
    from cloud_builder.model.settings import Settings
    from cloud_builder.ports.broker import Broker
    from cloud_builder.wiring.settings import Loaded

ANSWER_WITHIN = 30.0
"""Seconds for an answer of cb-info: usually milliseconds, on a busy machine ten seconds and more."""


class Session:
    """Opened lazily: a command that asks nothing connects to nothing."""

    def __init__(self, words: GlobalOptions) -> None:
        self._said = words
        self._client: Client | None = None

    @property
    def json(self) -> bool:
        return self._said.json

    @cached_property
    def _loaded(self) -> Loaded:
        from cloud_builder.wiring.settings import parse_broker, read

        named = self._said.broker if self._said.broker != "embedded" else None
        broker = {"bootstrap": parse_broker(named).bootstrap} if named else None
        return read(self._said.home, overrides={"broker": broker})

    @property
    def settings(self) -> Settings:
        return self._loaded.settings

    @property
    def is_remote(self) -> bool:
        """True when the mesh was not started on this machine by `cb-ctl up`."""
        from cloud_builder.wiring.rundir import up_of

        return up_of(self.settings.home) is None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self._connected()
        return self._client

    def _connected(self) -> Client:
        from cloud_builder.mesh.client import Client

        return Client(self.broker, f"cb-ctl/{socket.gethostname()}")

    @cached_property
    def broker(self) -> Broker:
        """The broker itself, for what is asked of no daemon. Retryable when no mesh is running here."""
        from cloud_builder.wiring.broker import connect
        from cloud_builder.wiring.rundir import up_of
        from cloud_builder.wiring.settings import BrokerFrom

        home = self.settings.home
        down = self._loaded.broker_from is BrokerFrom.HOME and up_of(home) is None
        if down or self._loaded.broker_from is BrokerFrom.NOBODY:
            raise Retryable(
                f"no mesh is running at {home}",
                code="no-mesh",
                hint="Start one with `cb-ctl up --detach`, or name one with --home or --broker.",
            )
        return connect(self.settings.broker)

    def send(self, payload: Payload) -> None:
        self.client.send(payload)

    def ask(self, what: str, timeout: float = ANSWER_WITHIN, **args: Any) -> Any:
        """The data of the answer; for people without control characters, but a log as it is.

        Rejected for what cb-info does not know, Retryable when it does not answer."""
        client = self.client
        try:
            answer = client.ask(what, {key: value for key, value in args.items() if value}, timeout)
        except Retryable as silent:
            raise self._unanswered(silent) from silent
        if answer.code:
            raise Rejected(answer.message, code=answer.code, hint=answer.hint)
        return answer.data if self.json or what == "log" else sanitize_all(answer.data)

    def pages(self, what: str, most: int = 0, **args: Any) -> list[dict[str, Any]]:
        """All rows of a list view, or the first `most`."""
        rows: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            wanted = min(1000, most - len(rows)) if most else 1000
            page = self.ask(what, most=wanted, after=after, **args)
            rows += page["items"]
            after = page["next"]
            if after is None or (most and len(rows) >= most):
                return rows

    def _unanswered(self, cause: Retryable) -> Retryable:
        from cloud_builder.wiring.rundir import log_file, up_of

        home = self.settings.home
        if up_of(home) is not None:
            hint = f"See {log_file(home, 'info')}; `cb-ctl down` and `cb-ctl up` start it again."
        else:
            hint = f"Is cb-info running, and is {self.settings.broker.bootstrap} the right broker?"
        return Retryable(f"cb-info does not answer: {cause.message}", code=cause.code, hint=cause.hint or hint)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        if "broker" in self.__dict__:
            self.broker.close()


@contextmanager
def session() -> Iterator[Session]:
    """The session of the command that runs."""
    opened = Session(said(click.get_current_context()))
    try:
        yield opened
    finally:
        opened.close()
