"""What a job asks of a machine, and what a machine has."""

from __future__ import annotations

from .frozen import LenientModel


class Capacity(LenientModel):
    """Of a unit: at least so much is needed. Of a runner: so much one job may use. Sizes in bytes; 0: not asked for.

    `kvm`: guests can be run with hardware help. `tags`: words that whoever sets up runners has given them."""

    memory: int = 0
    disk: int = 0
    cpu: int = 0
    kvm: bool = False
    tags: tuple[str, ...] = ()

    def lacks(self, asked: Capacity) -> tuple[str, ...]:
        """What of `asked` is not here, in words; empty: it suffices."""
        short = [
            f"{name} {getattr(asked, name)} (has {getattr(self, name)})"
            for name in ("memory", "disk", "cpu")
            if getattr(asked, name) > getattr(self, name)
        ]
        kvm = ["kvm"] if asked.kvm and not self.kvm else []
        return (*short, *kvm, *(f"tag {tag}" for tag in asked.tags if tag not in self.tags))


NOTHING = Capacity()
"""What most jobs ask for: one value, which is quickly told from others."""
