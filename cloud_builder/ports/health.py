"""The port to whoever watches over this process and wants to know that it lives: systemd, or nobody."""

from __future__ import annotations

from typing import Protocol


class HealthReporter(Protocol):
    """Told by the mesh loop. Never raises, never waits: a daemon does not fail because its watcher is gone."""

    def ready(self) -> None:
        """Connected, and going on where it stopped."""

    def beat(self, status: str) -> None:
        """Another round was done. `status`: one line for people about how it is."""

    def stopping(self) -> None:
        """Told to stop: handing over."""


class NullReporter:
    """Nobody listens."""

    def ready(self) -> None: ...

    def beat(self, status: str) -> None: ...

    def stopping(self) -> None: ...
