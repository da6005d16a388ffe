"""The port to the builder of a runner, which carries out one assignment from fetch to upload.

Builders differ by kind and format; the runner's slots, leases and reports do not.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Protocol

from cloud_builder.model.events import AttemptFinished, JobAssigned


class Builder(Protocol):
    """A builder of one machine. Thread-safe: one call of `build` for each slot."""

    def build(self, assignment: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        """Carries out an assignment. Never raises: each failure is an outcome with a message.

        `log` receives each piece of the log as it is written; the whole log is one of the uploaded objects. Setting
        `cancel` ends the build within 2 s with the outcome `canceled`."""

    def buildroots(self) -> tuple[str, ...]:
        """Returns the keys of the base roots that are ready on this machine."""

    def sweep(self) -> None:
        """Removes every process, mount and directory that a killed predecessor may have left. Called at the start."""
