"""Why a job that could start is not handed out at this moment, whatever its turn is (in `job.queued`)."""

from __future__ import annotations

from enum import StrEnum

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RunnerId


class HoldKind(StrEnum):
    """A closed set, of which readers may know less than writers."""

    OFFERED = "offered"
    """It lies on a shared queue, and no runner has taken it yet."""
    APART = "apart"
    """A runner may have died of it, and it would run beside others of that kind."""
    DOUBT = "doubt"
    """Runners died or fell silent while they built it: unless a silent one speaks again, it is a failure."""


class Hold(LenientModel):
    """`kind`: one of HoldKind. `until`: when that is looked at again at the latest; `since`: 0 when it is not known."""

    kind: str
    until: float
    since: float = 0.0
    queue: str = ""
    """Offered: the name of the queue, below `cb.queue.`."""
    offers: int = 0
    """Offered: how often, with this time. `most`: after so many it goes to a runner directly."""
    most: int = 0
    beside: tuple[JobId, ...] = ()
    """Apart: what runs on `runner_id`, where it would have gone, and may have taken a runner down, too."""
    runner_id: RunnerId | None = None
    died: tuple[RunnerId, ...] = ()
    """Apart, doubt: the runners that died, or fell silent, while they built it."""
