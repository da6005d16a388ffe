"""The port to the maker of base roots.

Input: a KIWI description and a profile. Output: a directory with a root file system.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

HOSTNAME = "builder"
"""The name of the host in builds, which /etc/hosts of each root has."""


@dataclass(frozen=True)
class Buildroot:
    """A base root, ready to be the lowest layer of a build. Read-only; its files have the ids that a build sees.

    `key` is the same on each machine that made or fetched the root from the same inputs."""

    key: str
    path: Path


@dataclass(frozen=True)
class RootInputs:
    """The inputs of a root besides its profile and the state of its package repositories.

    `content`: of all files that the description consists of.
    `unverified`: the addresses of repositories whose packages are used without a check of signatures."""

    content: bytes
    unverified: tuple[str, ...] = ()


class RootMaker(Protocol):
    """A maker of base roots. Thread-safe."""

    @property
    def recipe(self) -> str:
        """A version that changes whenever the same description would give another root."""

    def inputs(self, description: Path, profile: str) -> RootInputs:
        """Returns what `prepare` would make the root from.

        Raises Permanent(code="root") if the description is wrong."""

    def prepare(
        self, description: Path, profile: str, root: Path, *, log: Callable[[bytes], None], cancel: Event
    ) -> None:
        """Makes the directory `root` from the file `description` (build_root.kiwi). Needs scratch space beside `root`.

        Raises Permanent(code="root") if the description is wrong (the message has the cause), Retryable if a
        repository cannot be reached, and Retryable(code="canceled") after `cancel` was set. An error may leave an
        unfinished root behind, which the caller removes."""
