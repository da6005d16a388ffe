"""Who is ahead of a waiting job, and why: the answer to "when is it my turn?".

In comes an order of which nobody else needs the rest (`order.restored` makes one of plain data); out go the jobs that
would get a slot before this one, if slots became free one by one and nobody else came.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from enum import StrEnum

from cloud_builder.model.ids import JobId

from .order import Order, Ticket


class Because(StrEnum):
    """Why one job goes before another."""

    CLASS = "it is more urgent"
    SOURCE = "its source holds or has used fewer slots"
    REQUESTER = "its requester holds or has used fewer slots"
    OLDER = "its request is older"
    PATH = "more time of other jobs hangs on it"


@dataclass(frozen=True)
class Ahead:
    job_id: JobId
    because: Because


@dataclass(frozen=True)
class Turn:
    """`ahead`: the next first, at most as many as asked for; `more`: there are others behind them.

    `quota`: the source or requester that must give back a slot before it can be this job's turn."""

    ahead: tuple[Ahead, ...]
    more: bool = False
    quota: tuple[str, ...] = ()


def ahead(
    order: Order, job_id: JobId, now: float, *, pools: Collection[Hashable] | None = None, most: int = 100
) -> Turn:
    """Uses `order` up. `pools`: those that compete for the same runners; None: all."""
    order.at(now)
    mine, rank = order.ticket(job_id), order.rank(job_id)
    before: list[Ahead] = []
    while len(before) <= most:
        full = order.full(mine)
        heads = [head for pool in (pools or tuple(order.pools())) if (head := order.first(pool)) is not None]
        if full or not heads or min(heads).job_id == job_id:
            return Turn(tuple(before), quota=full)
        head = min(heads)
        other = order.take(head.job_id, now)
        before.append(Ahead(other.job_id, _because(head.rank, other, rank, mine)))
    return Turn(tuple(before[:most]), more=True)


def _because(rank: int, other: Ticket, own: int, mine: Ticket) -> Because:
    if rank < own:
        return Because.CLASS
    if other.source != mine.source:
        return Because.SOURCE
    if (other.requester, other.priority) != (mine.requester, mine.priority):
        return Because.REQUESTER
    return Because.OLDER if other.sequence < mine.sequence else Because.PATH
