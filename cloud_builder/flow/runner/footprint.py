"""What a runner has at hand for the next job, told with its heartbeats: a tie-break of the scheduler, no promise.

In come the orders that were carried out here, out go the words that `planning.nearness` makes of such orders. What is
evicted meanwhile costs a job what it would have cost elsewhere.
"""

from __future__ import annotations

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.events import JobAssigned
from cloud_builder.model.settings import RunnerSettings
from cloud_builder.planning.nearness import layer_word, root_word

from .buildroot import KEEP as ROOTS
from .layers import KEEP as LAYERS

SOURCES = 100


class Footprint:
    """The last ones used, each kind as many as are kept on the disk."""

    def __init__(self) -> None:
        self.roots: tuple[str, ...] = ()
        self.layers: tuple[str, ...] = ()
        self.sources: tuple[str, ...] = ()

    def note(self, order: JobAssigned) -> None:
        """It was built here, so all that it needs is here."""
        self.sources = _newest(self.sources, order.source, SOURCES)
        if order.buildroot is None:
            return
        root = root_word(order.buildroot, order.target.name, order.repositories or "")
        layer = layer_word(root, order.source, order.unit, (artifact.sha256 for artifact in order.dependencies))
        self.roots = _newest(self.roots, root, ROOTS)
        self.layers = _newest(self.layers, layer, LAYERS)


def _newest(known: tuple[str, ...], word: str, most: int) -> tuple[str, ...]:
    return (word, *(one for one in known if one != word))[:most]


def capacity(settings: RunnerSettings, cores: int) -> Capacity:
    """What one job may use on this machine, all slots being busy."""
    return Capacity(
        memory=settings.limits.memory,
        disk=settings.limits.disk,
        cpu=settings.limits.cpu or max(1, cores // settings.slots),
        kvm=settings.kvm,
        tags=settings.tags,
    )
