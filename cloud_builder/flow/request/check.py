"""The discovery of units in a working tree, without a mesh: what `cb-ctl check` shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloud_builder.model.settings import RequestSettings
from cloud_builder.model.unit import Problem, Unit
from cloud_builder.ports.metadata import MetadataReader, RepositoryStates

from .discover import UnitDiscovery
from .tree import DirectoryTree


def check_tree(
    root: Path, readers: Sequence[MetadataReader], repositories: RepositoryStates | None = None
) -> tuple[tuple[Unit, ...], tuple[Problem, ...]]:
    """The healthy units at and below a directory, and the problems of the others; paths are relative to it."""
    snapshot = UnitDiscovery(readers, repositories, RequestSettings().manifest_max_bytes).snapshot(DirectoryTree(root))
    return snapshot.units, snapshot.problems
