"""The cache inventory of a runner, announced with its heartbeats: cached sources, build roots and dependency layers.

Input: assignments that were carried out here. Output: the keys that `planning.schedule.locality` computes for such
assignments. The scheduler uses them to choose among runners with a free slot. They are no promise: if an entry was
evicted meanwhile, the job takes as long as on another runner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.events import JobAssigned
from cloud_builder.model.settings import RunnerSettings
from cloud_builder.planning.schedule.locality import layer_cache_key, root_cache_key

MAX_SOURCES = 100
MAX_LAYERS = 48
"""Layers that are announced, the most recently used ones; the cache on disk is limited by bytes."""

K = TypeVar("K")
_Root = tuple[str, str, str]
_Layer = tuple[_Root, str, str, tuple[str, ...]]


class CacheInventory:
    """The most recently used entries, of roots as many as the cache on disk keeps.

    A key is a digest; it is computed when it is announced for the first time, not with each job."""

    def __init__(self, max_roots: int, max_layers: int) -> None:
        self._max_roots = max_roots
        self._max_layers = max_layers
        self._sources: dict[str, str] = {}
        self._roots: dict[_Root, str] = {}
        self._layers: dict[_Layer, str] = {}

    def record(self, assignment: JobAssigned) -> None:
        """Adds the source, root and layer of an assignment that was built here: all of them are cached now."""
        _touch(self._sources, assignment.source, MAX_SOURCES)
        if assignment.buildroot is None:
            return
        root = (assignment.buildroot, assignment.target.name, assignment.repositories or "")
        dependencies = tuple(sorted(artifact.sha256 for artifact in assignment.dependencies))
        _touch(self._roots, root, self._max_roots)
        _touch(self._layers, (root, assignment.source, assignment.unit, dependencies), self._max_layers)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of sources; like `roots` and `layers`, the most recently used first."""
        return tuple(reversed(self._sources))

    @property
    def roots(self) -> tuple[str, ...]:
        return _newest_first(self._roots, lambda root: root_cache_key(*root))

    @property
    def layers(self) -> tuple[str, ...]:
        return _newest_first(self._layers, lambda layer: layer_cache_key(self._root_key(layer[0]), *layer[1:]))

    def _root_key(self, root: _Root) -> str:
        return self._roots.get(root) or root_cache_key(*root)


def capacity(settings: RunnerSettings, cores: int) -> Capacity:
    """Returns what one job may use on this machine while all slots are busy."""
    return Capacity(
        memory=settings.limits.memory,
        disk=settings.limits.disk,
        cpu=settings.limits.cpu or max(1, cores // settings.slots),
        kvm=settings.kvm,
        tags=settings.tags,
    )


def _touch(entries: dict[K, str], entry: K, max_entries: int) -> None:
    """Makes the entry the newest; evicts the oldest one beyond the maximum."""
    entries[entry] = entries.pop(entry, "")
    if len(entries) > max_entries:
        del entries[next(iter(entries))]


def _newest_first(entries: dict[K, str], cache_key: Callable[[K], str]) -> tuple[str, ...]:
    """Returns the keys of the entries; computes those that are missing."""
    for entry in [entry for entry, key in entries.items() if not key]:
        entries[entry] = cache_key(entry)
    return tuple(reversed(entries.values()))
