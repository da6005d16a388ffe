"""The port `RootMaker` without a distribution: a root is a directory with the description in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock

from cloud_builder.errors import CloudBuilderError
from cloud_builder.ports.buildroot import RootInputs


class MemoryRoots:
    """Implements ports.buildroot.RootMaker. `error`: raised by each preparation while it is set.

    `unverified`: the repositories that a description names without a check of signatures."""

    recipe = "memory-1"

    def __init__(self) -> None:
        self.made: list[str] = []
        """The profiles that were prepared, in order."""
        self.error: CloudBuilderError | None = None
        self.unverified: tuple[str, ...] = ()
        self._lock = Lock()

    def inputs(self, description: Path, profile: str) -> RootInputs:
        return RootInputs(description.read_bytes(), self.unverified)

    def prepare(
        self, description: Path, profile: str, root: Path, *, log: Callable[[bytes], None], cancel: Event
    ) -> None:
        with self._lock:
            self.made.append(profile)
        log(f"preparing {profile}\n".encode())
        root.mkdir()
        if self.error is not None:
            raise self.error
        shutil.copyfile(description, root / "description")
        (root / "profile").write_text(profile, encoding="utf-8")
