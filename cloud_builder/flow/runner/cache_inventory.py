"""What a runner has at hand for the next job, told with its heartbeats: a tie-break of the scheduler, no promise.

In come the orders that were carried out here, out go the words that `planning.nearness` makes of such orders. What is
evicted meanwhile costs a job what it would have cost elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.events import JobAssigned
from cloud_builder.model.settings import RunnerSettings
from cloud_builder.planning.schedule.locality import layer_cache_key, root_cache_key

SOURCES = 100

K = TypeVar("K")
_Root = tuple[str, str, str]
_Layer = tuple[_Root, str, str, tuple[str, ...]]


class CacheInventory:
    """The last ones used, each kind as many as are kept on the disk (`max_roots`, `max_layers`).

    A word is a digest: it is made when it is told.
    """

    def __init__(self, max_roots: int, max_layers: int) -> None:
        self._max_roots = max_roots
        self._max_layers = max_layers
        self._sources: dict[str, str] = {}
        self._roots: dict[_Root, str] = {}
        self._layers: dict[_Layer, str] = {}

    def record(self, order: JobAssigned) -> None:
        """It was built here, so all that it needs is here."""
        _touch(self._sources, order.source, SOURCES)
        if order.buildroot is None:
            return
        root = (order.buildroot, order.target.name, order.repositories or "")
        used = tuple(sorted(artifact.sha256 for artifact in order.dependencies))
        _touch(self._roots, root, self._max_roots)
        _touch(self._layers, (root, order.source, order.unit, used), self._max_layers)

    @property
    def sources(self) -> tuple[str, ...]:
        """The newest first, as the others."""
        return tuple(reversed(self._sources))

    @property
    def roots(self) -> tuple[str, ...]:
        return _newest_first(self._roots, lambda root: root_cache_key(*root))

    @property
    def layers(self) -> tuple[str, ...]:
        return _newest_first(self._layers, lambda layer: layer_cache_key(self._word(layer[0]), *layer[1:]))

    def _word(self, root: _Root) -> str:
        return self._roots.get(root) or root_cache_key(*root)


def _touch(known: dict[K, str], key: K, most: int) -> None:
    known[key] = known.pop(key, "")
    if len(known) > most:
        del known[next(iter(known))]


def _newest_first(known: dict[K, str], word: Callable[[K], str]) -> tuple[str, ...]:
    for key in [key for key, made in known.items() if not made]:
        known[key] = word(key)
    return tuple(reversed(known.values()))


def capacity(settings: RunnerSettings, cores: int) -> Capacity:
    """What one job may use on this machine, all slots being busy."""
    return Capacity(
        memory=settings.limits.memory,
        disk=settings.limits.disk,
        cpu=settings.limits.cpu or max(1, cores // settings.slots),
        kvm=settings.kvm,
        tags=settings.tags,
    )
