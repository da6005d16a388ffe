"""The port to the hands of a runner: carry out one order from fetch to upload. What builds differs by kind and format;
the runner's slots, leases and reports do not."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Protocol

from cloud_builder.model.events import AttemptFinished, JobAssigned


class Builder(Protocol):
    """Thread-safe: one call of `build` a slot."""

    def build(self, order: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        """Carries out an order. Never raises: every way to end is an outcome with a message.

        `log` gets each piece of the log as it comes, and the whole log is one of the uploaded objects. Setting
        `cancel` ends the build within 2 s with outcome `canceled`."""

    def buildroots(self) -> tuple[str, ...]:
        """Keys of the base roots that are ready on this machine."""

    def sweep(self) -> None:
        """At start: removes every process, mount and directory that a killed predecessor may have left."""
