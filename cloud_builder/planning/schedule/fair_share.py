"""The shares of sources and requesters: slots in use, recent slot-seconds, and what their quotas allow."""

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
    """The share of each source, and of each requester of a source. Quotas count by name: a requester's over all
    sources."""

    def __init__(self, policy: QueuePolicy, now: float) -> None:
        self._policy = policy
        self._active: dict[JobId, tuple[ActiveJob, int]] = {}
        """With the class that the job counted as when it got its slot."""
        self._sources: dict[SourceName, ShareUsage] = {}
        self._requesters: dict[tuple[SourceName, RequesterClass], ShareUsage] = {}
        self._slots: dict[str, int] = {}
        """Slots in use, of each source or requester that has a quota."""
        self._decayed_at = now
        self._aged: dict[JobId, int] = {}
        """The class of jobs that got their slot before a restart, if it was not their own class."""
        self.version = 0
        """Increases with every change of what `usage` returns."""

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._active

    def __len__(self) -> int:
        return len(self._active)

    def start(self, job: ActiveJob, rank: int | None = None) -> None:
        """Counts a job that got a slot. `rank`: the class that it counts as; None: the restored one, else its own."""
        if rank is None:
            rank = self._aged.pop(job.job_id, job.priority.rank)
        else:
            self.version += rank != job.priority.rank
        self._active[job.job_id] = job, rank
        self._source(job.source).add_slot(rank)
        self._requester(job.source, requester_class(job)).add_slot(rank)
        for name in self._names_with_quota(job):
            self._slots[name] = self._slots.get(name, 0) + 1

    def end(self, job_id: JobId, now: float) -> tuple[ActiveJob, bool] | None:
        """Returns the job that gave its slot back, and whether a quota was full until now; None: it had no slot."""
        if job_id not in self._active:
            return None
        job, rank = self._active.pop(job_id)
        self.version += 1
        seconds = max(0.0, now - job.since)
        self._source(job.source).remove_slot(rank, seconds)
        self._requester(job.source, requester_class(job)).remove_slot(rank, seconds)
        names = self._names_with_quota(job)
        was_full = any(self.is_full(name) for name in names)
        for name in names:
            self._slots[name] -= 1
        return job, was_full

    def slots(self, name: str) -> int:
        """Returns the slots in use of a source or requester that has a quota; 0 for other names."""
        return self._slots.get(name, 0)

    def is_full(self, name: str) -> bool:
        quota = self._policy.quotas.get(name)
        return quota is not None and self._slots.get(name, 0) >= quota

    def source_share(self, source: SourceName, rank: int) -> ShareKey:
        return self._source(source).keys[rank]

    def requester_share(self, source: SourceName, requester: RequesterClass, rank: int) -> ShareKey:
        return self._requester(source, requester).keys[rank]

    def decay(self, now: float) -> bool:
        """Lets recent usage count less as time passes. True: all shares have changed. At most once a half-life."""
        self._decayed_at = min(self._decayed_at, now)  # in the future, if the clock was ahead when it was saved
        if now - self._decayed_at < USAGE_HALF_LIFE:
            return False
        self.version += bool(self._sources)
        factor = 0.5 ** ((now - self._decayed_at) / USAGE_HALF_LIFE)
        self._decayed_at = now
        for share in (*self._sources.values(), *self._requesters.values()):
            share.decay(factor)
        self._sources = {name: share for name, share in self._sources.items() if not share.is_idle}
        self._requesters = {name: share for name, share in self._requesters.items() if not share.is_idle}
        return True

    def usage(self) -> UsageSnapshot:
        """Returns the state that cannot be restored from jobs, to be saved."""
        requesters = [
            RequesterUsage(source=source, rank=rank, requester=requester, used=share.used)
            for (source, (rank, requester)), share in sorted(self._requesters.items())
            if any(share.used)
        ]
        return UsageSnapshot(
            at=self._decayed_at,
            sources=tuple(
                SourceUsage(source=source, used=share.used)
                for source, share in sorted(self._sources.items())
                if any(share.used)
            ),
            requesters=largest_that_fit(requesters),
            aged={job_id: rank for job_id, (job, rank) in self._active.items() if rank != job.priority.rank},
        )

    def restore_usage(self, usage: UsageSnapshot) -> None:
        """Takes over the usage of before a restart. Must be called before the active jobs are added."""
        self._decayed_at, self._aged = usage.at, dict(usage.aged)
        for source in usage.sources:
            self._source(source.source).restore(source.used)
        for requester in usage.requesters:
            self._requester(requester.source, (requester.rank, requester.requester)).restore(requester.used)

    def _source(self, source: SourceName) -> ShareUsage:
        share = self._sources.get(source)
        if share is None:
            share = self._sources[source] = ShareUsage(self._policy.weights.get(source, 1.0), CLASSES)
        return share

    def _requester(self, source: SourceName, requester: RequesterClass) -> ShareUsage:
        share = self._requesters.get((source, requester))
        if share is None:
            rank, name = requester
            weight = self._policy.weights.get(name, 1.0) * AGED_WORK_RATIO**-rank
            share = self._requesters[source, requester] = ShareUsage(weight, CLASSES)
        return share

    def _names_with_quota(self, job: ActiveJob) -> list[str]:
        quotas = self._policy.quotas
        return [name for name in {job.source: 0, job.requester: 0} if name in quotas] if quotas else []
