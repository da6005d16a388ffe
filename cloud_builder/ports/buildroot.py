"""The port to the making of base roots: a description goes in, a directory with a root file system comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol


@dataclass(frozen=True)
class Buildroot:
    """A base root that is ready to be the lowest layer of a build. Read-only; its files have ids as seen inside.

    `key` is the same on every machine that made or fetched it from the same inputs."""

    key: str
    path: Path


class RootMaker(Protocol):
    """Thread-safe."""

    @property
    def recipe(self) -> str:
        """Changes whenever the same description would give another root."""

    def prepare(
        self, description: Path, profile: str, root: Path, *, log: Callable[[bytes], None], cancel: Event
    ) -> None:
        """Makes the directory `root` from the file `description` (build_root.kiwi).

        Needs scratch space beside `root`. Permanent(code="root") when the description is wrong: the message has the
        cause. Retryable when a repository cannot be reached, Retryable(code="canceled") after `cancel`. A root that
        is not finished may be left behind: the caller removes it."""
