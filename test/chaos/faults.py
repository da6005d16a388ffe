"""Plans the faults of a run: a list that the seed determines. Pure; cluster.py carries it out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from chaos.cluster import STORE, Abilities
from chaos.source_tree import VARIANTS
from chaos.variant import RunVariant


class Kind(StrEnum):
    KILL = "kill"
    FREEZE = "freeze"
    CUT = "cut"
    SILENT = "silent"
    SLOW = "slow"
    FULL = "full"
    CLOCK = "clock"
    ASK = "ask"
    PUSH = "push"


BROKER = "broker"


@dataclass(frozen=True, order=True)
class Act:
    """A fault of `what`, a request or a push: at `at` seconds, for `lasts` seconds. `value`: offset or variant."""

    at: float
    kind: Kind
    what: str = ""
    lasts: float = 0.0
    value: str = ""

    def __str__(self) -> str:
        lasts = f" for {self.lasts:4.1f} s" if self.lasts else ""
        return f"{self.at:5.1f} s  {self.kind.value:<7} {self.what}{lasts} {self.value}".rstrip()


LEASE = 12.0
SHORT = 19023
"""A seed with every kind of fault, a kill of the broker included, within 8 s."""
SHORT_HA = 45635
"""The same for two schedulers; each of them falls silent for longer than the other waits."""


def schedule(seed: int, abilities: Abilities, seconds: float, variant: RunVariant) -> list[Act]:
    """Returns the schedule of a seed: requests, pushes and faults, spread over `seconds`."""
    chance = random.Random(seed)
    kinds = [Kind.KILL] * 4 + [Kind.FREEZE] * 3 + [Kind.CUT] * 2 + [Kind.SILENT] * 2 + [Kind.SLOW]
    kinds += [Kind.CLOCK] * 2 + [Kind.FULL] * 2 * abilities.disks
    acts = [Act(0.0, Kind.ASK, "main")]
    acts += [Act(_when(chance, seconds), Kind.ASK, chance.choice(VARIANTS)) for _ in range(3)]
    acts += [Act(_when(chance, seconds), Kind.PUSH, chance.choice(VARIANTS[1:]))]
    acts += [_fault(chance, chance.choice(kinds), seconds, variant.daemons) for _ in range(chance.randint(5, 9))]
    if variant.ha:
        acts += [_blow(chance, seconds, variant.schedulers) for _ in range(chance.randint(2, 4))]
    return sorted(acts)


def _fault(chance: random.Random, kind: Kind, seconds: float, daemons: tuple[str, ...]) -> Act:
    at, short, long = _when(chance, seconds), chance.uniform(0.5, 5.0), chance.uniform(LEASE + 2, LEASE + 6)
    lasts = round(long if chance.random() < 0.25 else short, 1)
    what = chance.choice((*daemons, BROKER) if kind in (Kind.KILL, Kind.FREEZE) else daemons)
    if what == BROKER:
        lasts = round(short, 1)
    if kind is Kind.FULL:
        what = chance.choice((*daemons, STORE))
    jump = str(chance.choice((-3600, -60, -5, 5, 60, 3600))) if kind is Kind.CLOCK else ""
    return Act(at, kind, what, lasts, jump)


def _blow(chance: random.Random, seconds: float, schedulers: tuple[str, ...]) -> Act:
    """Returns a fault that silences a scheduler; half of them last longer than the other scheduler waits."""
    lasts = chance.uniform(0.5, 5.0) if chance.random() < 0.5 else chance.uniform(LEASE + 2, LEASE + 6)
    kind = chance.choice((Kind.KILL, Kind.FREEZE, Kind.CUT, Kind.SILENT))
    return Act(_when(chance, seconds), kind, chance.choice(schedulers), round(lasts, 1))


def _when(chance: random.Random, seconds: float) -> float:
    return round(chance.uniform(0.3, seconds), 1)
