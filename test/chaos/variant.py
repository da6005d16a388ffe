"""Variants of a run: simulated builds, or real builds of tiny packages; directed dispatch or shared queues; one
scheduler, or two of which one leads.

Real builds need root, the network for the build root (once), and minutes instead of seconds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from chaos.source_tree import ALL, SUCCESSION
from cloud_builder.model.dispatch import Dispatch

RUNNERS = ("runner-1", "runner-2")
SIMULATED_SECONDS = 0.4
MB = 1024 * 1024
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloud-builder" / "test"
"""Where other tests keep their prepared build roots, too."""


@dataclass(frozen=True)
class RunVariant:
    """A variant. `settle`: seconds within which every request must finish after all faults have ended."""

    real: bool = False
    dispatch: Dispatch = Dispatch.DIRECTED
    ha: bool = False

    @property
    def schedulers(self) -> tuple[str, ...]:
        return ("scheduler-1", "scheduler-2") if self.ha else ("scheduler",)

    @property
    def daemons(self) -> tuple[str, ...]:
        return ("request", *self.schedulers, "collector", "info", *RUNNERS)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants of the source tree that are requested in a run."""
        return (*ALL, SUCCESSION) if self.ha else ALL

    @property
    def words(self) -> str:
        """Returns the arguments with which `make chaos` repeats the run."""
        dispatch = f" DISPATCH={self.dispatch}" if self.dispatch is not Dispatch.DIRECTED else ""
        return f"{' REAL=1' if self.real else ''}{' HA=1' if self.ha else ''}{dispatch}"

    @property
    def settle(self) -> float:
        return 600.0 if self.real else 300.0

    def room(self, disk: str) -> int:
        """Returns the bytes of a small file system. With real builds a runner keeps a build root of 500 MB there."""
        return 900 * MB if self.real and disk.startswith("runner") else 48 * MB

    def cache(self, home: Path) -> Path:
        return CACHE if self.real else home / "cache"

    def settings(self, source: str, repository: Path) -> dict[str, str]:
        """Returns the settings of the daemons. The run causes errors of infrastructure: they may not use up a job's
        tries, nor may a job be blamed for the exit of its runners, or a runner for a full disk.
        """
        # With slots to spare a killed runner's job is taken at once, however long real builds take.
        builds = {"CB_RUNNER__SLOTS": "4"} if self.real else {"CB_RUNNER__SIMULATE": str(SIMULATED_SECONDS)}
        return {
            "CB_DISPATCH": self.dispatch,
            "CB_SOURCES": json.dumps({source: {"url": str(repository), "branch": "main"}}),
            "CB_SCHEDULER__MAX_ERRORS": "50",
            "CB_SCHEDULER__POISON_AFTER": "50",
            "CB_SCHEDULER__QUARANTINE_AFTER": "50",
            "CB_SCHEDULER__RETRY_DELAY": "0.2",
            "CB_REQUEST__POLL_INTERVAL": "2",
            "CB_SCHEDULER__HA": str(self.ha).lower(),
            **builds,
        }
