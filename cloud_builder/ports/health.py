"""The port to the service manager that supervises this process: systemd, or none."""

from __future__ import annotations

from typing import Protocol


class HealthReporter(Protocol):
    """A reporter of this process's health, called by the mesh loop.

    Never raises, never waits: a daemon does not fail because its service manager does not answer."""

    def ready(self) -> None:
        """Reports that the daemon is connected and continues from its stored positions."""

    def beat(self, status: str) -> None:
        """Reports that the loop made progress. `status`: one line that people read."""

    def stopping(self) -> None:
        """Reports that the daemon was asked to stop and hands over."""


class NullReporter:
    """A reporter for a process that no service manager supervises."""

    def ready(self) -> None: ...

    def beat(self, status: str) -> None: ...

    def stopping(self) -> None: ...
