"""The resources that a job requires, and that a runner has."""

from __future__ import annotations

from .frozen import LenientModel


class Capacity(LenientModel):
    """The least that a unit needs, or the most that one job may use on a runner."""

    memory: int = 0
    """Bytes; 0: no requirement."""
    disk: int = 0
    """Bytes; 0: no requirement."""
    cpu: int = 0
    """Cores; 0: no requirement."""
    kvm: bool = False
    """Virtual machines can be run with KVM."""
    tags: tuple[str, ...] = ()
    """Free words that operators give to runners."""

    def lacks(self, required: Capacity) -> tuple[str, ...]:
        """Returns what `required` has and this capacity has not, as text for people. Empty: it suffices."""
        short = [
            f"{name} {getattr(required, name)} (has {getattr(self, name)})"
            for name in ("memory", "disk", "cpu")
            if getattr(required, name) > getattr(self, name)
        ]
        kvm = ["kvm"] if required.kvm and not self.kvm else []
        return (*short, *kvm, *(f"tag {tag}" for tag in required.tags if tag not in self.tags))


NOTHING = Capacity()
"""No requirement. Most jobs share this value, so that comparing two of them is comparing one object with itself."""
