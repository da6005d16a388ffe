"""What sources and requesters hold and have used, and what their quotas leave them."""

from __future__ import annotations

from cloud_builder.model.ids import JobId, SourceName

from .fair_share_heap import ShareKey, ShareUsage
from .queued_job import (
    AGED_WORK_RATIO,
    CLASSES,
    USAGE_HALF_LIFE,
    ActiveJob,
    QueuePolicy,
    RequesterClass,
    requester_class,
)
from .usage import RequesterUsage, SourceUsage, UsageSnapshot, largest_that_fit


class FairShares:
    """Of a source, and of each asker in it; quotas count by name, whatever the source."""

    def __init__(self, rules: QueuePolicy, now: float) -> None:
        self._rules = rules
        self._held: dict[JobId, tuple[ActiveJob, int]] = {}
        """With the class that it counted as when it got its slot."""
        self._sources: dict[SourceName, ShareUsage] = {}
        self._askers: dict[tuple[SourceName, RequesterClass], ShareUsage] = {}
        self._slots: dict[str, int] = {}
        """Held by each source or requester that has a quota."""
        self._faded = now
        self._risen: dict[JobId, int] = {}
        """As what jobs counted that got their slot before a restart, where that is not their own class."""
        self.version = 0
        """Changes with what `usage` tells."""

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._held

    def __len__(self) -> int:
        return len(self._held)

    def start(self, held: ActiveJob, rank: int | None = None) -> None:
        """`rank`: the class that it counts as; None: the one that it had counted as, else its own."""
        if rank is None:
            rank = self._risen.pop(held.job_id, held.priority.rank)
        else:
            self.version += rank != held.priority.rank
        self._held[held.job_id] = held, rank
        self._source(held.source).add_slot(rank)
        self._asker(held.source, requester_class(held)).add_slot(rank)
        for name in self._limited(held):
            self._slots[name] = self._slots.get(name, 0) + 1

    def end(self, job_id: JobId, now: float) -> tuple[ActiveJob, bool] | None:
        """Who held it, and whether a quota has room again; None: nobody."""
        if job_id not in self._held:
            return None
        held, rank = self._held.pop(job_id)
        self.version += 1
        seconds = max(0.0, now - held.since)
        self._source(held.source).remove_slot(rank, seconds)
        self._asker(held.source, requester_class(held)).remove_slot(rank, seconds)
        limited = self._limited(held)
        was_full = any(self.is_full(name) for name in limited)
        for name in limited:
            self._slots[name] -= 1
        return held, was_full

    def slots(self, name: str) -> int:
        return self._slots.get(name, 0)

    def is_full(self, name: str) -> bool:
        quota = self._rules.quotas.get(name)
        return quota is not None and self._slots.get(name, 0) >= quota

    def source_share(self, source: SourceName, rank: int) -> ShareKey:
        return self._source(source).standing[rank]

    def requester_share(self, source: SourceName, asker: RequesterClass, rank: int) -> ShareKey:
        return self._asker(source, asker).standing[rank]

    def decay(self, now: float) -> bool:
        """What was used counts less as time passes; True: all standings have changed."""
        self._faded = min(self._faded, now)  # it lies ahead where the clock was ahead
        if now - self._faded < USAGE_HALF_LIFE:
            return False
        self.version += bool(self._sources)
        factor = 0.5 ** ((now - self._faded) / USAGE_HALF_LIFE)
        self._faded = now
        for share in (*self._sources.values(), *self._askers.values()):
            share.decay(factor)
        self._sources = {name: share for name, share in self._sources.items() if not share.is_idle}
        self._askers = {name: share for name, share in self._askers.items() if not share.is_idle}
        return True

    def usage(self) -> UsageSnapshot:
        """What must not be forgotten, and is written down nowhere else."""
        askers = [
            RequesterUsage(source=source, rank=asker[0], requester=asker[1], used=share.used)
            for (source, asker), share in sorted(self._askers.items())
            if any(share.used)
        ]
        return UsageSnapshot(
            at=self._faded,
            sources=tuple(
                SourceUsage(source=source, used=share.used)
                for source, share in sorted(self._sources.items())
                if any(share.used)
            ),
            askers=largest_that_fit(askers),
            risen={job_id: rank for job_id, (held, rank) in self._held.items() if rank != held.priority.rank},
        )

    def recall(self, usage: UsageSnapshot) -> None:
        """Of before a restart. Comes before what is held."""
        self._faded, self._risen = usage.at, dict(usage.risen)
        for source in usage.sources:
            self._source(source.source).restore(source.used)
        for asker in usage.askers:
            self._asker(asker.source, (asker.rank, asker.requester)).restore(asker.used)

    def _source(self, source: SourceName) -> ShareUsage:
        share = self._sources.get(source)
        if share is None:
            share = self._sources[source] = ShareUsage(self._rules.weights.get(source, 1.0), CLASSES)
        return share

    def _asker(self, source: SourceName, asker: RequesterClass) -> ShareUsage:
        share = self._askers.get((source, asker))
        if share is None:
            weight = self._rules.weights.get(asker[1], 1.0) * AGED_WORK_RATIO ** -asker[0]
            share = self._askers[source, asker] = ShareUsage(weight, CLASSES)
        return share

    def _limited(self, held: ActiveJob) -> list[str]:
        quotas = self._rules.quotas
        return [name for name in {held.source: 0, held.requester: 0} if name in quotas] if quotas else []
