"""The Flow of cb-request.

Input: `build.requested`, `source.add-requested`, `source.remove-requested`, `request.finished`; results from git.
Output: `source.revised`, `source.troubled`, `source.removed`, `request.accepted`, `request.rejected`.
Must not: wait for a network. A request is stored as pending; a later tick applies what the resolver has found.

All that must survive a restart is in the RequestStore; what is only in memory can be queried again. `reconcile.py`
decides what a result leads to, and `_apply` is the one place where a decision is stored and emitted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from cloud_builder.errors import Rejected
from cloud_builder.model.events import (
    BuildRequested,
    RequestFinished,
    SourceAddRequested,
    SourceRemoved,
    SourceRemoveRequested,
)
from cloud_builder.model.ids import RequestId, SourceName
from cloud_builder.model.role import Role
from cloud_builder.model.settings import RequestSettings, SourceSettings
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.metadata import MetadataReader, RepositoryStates
from cloud_builder.ports.source import SourceMirror
from cloud_builder.ports.state import Documents

from . import malformed
from .decision_log import log_decision
from .discover import UnitDiscovery
from .entries import FollowedSource, PendingRequest, RequestEntry, RequestStatus, StoreChanges
from .reconcile import Decision, reconcile, rejection
from .resolution import ResolvedCommit, ResolveResult, build_query
from .resolver import SourceResolver
from .retries import clamp_retry_time
from .sources import FollowedSources
from .store import REQUEST_ID_RETENTION, RequestStore

_LOG = logging.getLogger("cb.request")
_PRUNE_INTERVAL = 3600.0


class RequestFlow:
    """ports.mesh.Flow. `sources`: the sources of the settings; others come and go by events."""

    role = Role.REQUEST
    instance = ""

    def __init__(
        self,
        settings: RequestSettings,
        sources: Mapping[str, SourceSettings],
        mirror: SourceMirror,
        metadata: Sequence[MetadataReader],
        repositories: RepositoryStates | None,
    ) -> None:
        self._settings = settings
        self._sources = FollowedSources({SourceName(name): _followed(source) for name, source in sources.items()})
        discovery = UnitDiscovery(metadata, repositories, settings.manifest_max_bytes)
        self._resolver = SourceResolver(mirror, discovery, settings.repository_state_max_age)
        self._next_retry: float | None = None
        """When the next pending request is due; None: no request is pending."""
        self._now = 0.0
        self._pruned_at = 0.0

    # --- ports.mesh.Flow

    def restore(self, state: Documents) -> None:
        store = RequestStore(state)
        self._sources.restore(store)
        self._next_retry = min((pending.retry_at for pending in store.pending_requests()), default=None)

    def republish(self, work: UnitOfWork) -> None:
        """Announces branch heads and emits the open requests again, unchanged, as soon as git was read once more."""
        store = self._open_store(work)
        store.reset_announcements()
        self._sources.schedule_all_now()
        for accepted in store.open_requests():
            _LOG.info("emitted again to a new broker", extra={"request": accepted.request_id})
            pending = PendingRequest(
                request_id=accepted.request_id,
                source=accepted.source,
                ref=accepted.revision,
                received_at=work.now,
                retry_at=work.now,
                accepted=accepted,
            )
            self._admit(pending, work)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        store = self._open_store(work)
        match event.payload:
            case BuildRequested() as request:
                self._on_build_requested(request, work)
            case SourceAddRequested() as added:
                self._sources.add(added.source, _followed(added), store, work.now)
            case SourceRemoveRequested() as removed:
                self._on_source_remove_requested(removed.source, work)
            case RequestFinished() as finished:
                self._on_request_finished(finished.request_id, work)

    def reject(self, value: bytes | None, reason: str, work: UnitOfWork) -> bool:
        """Rejects a message that the loop cannot decode. Returns True when the client can learn of it."""
        if not malformed.is_build_request(reason):
            return False
        rejected = malformed.rejection(value, reason, work.now)
        entry = RequestStore(work.documents).request(rejected.request_id)
        if entry is not None and entry.status is not RequestStatus.REJECTED:
            return False
        new_entry = RequestEntry(status=RequestStatus.REJECTED, at=work.now)
        changes = StoreChanges(rejected.source, requests={rejected.request_id: new_entry})
        self._apply(Decision((rejected,), changes), work)
        return True

    def tick(self, work: UnitOfWork) -> None:
        self._now = work.now
        store = self._open_store(work)
        for result in self._resolver.results():
            self._on_resolved(result, work)
        self._poll_sources(store, work.now)
        if work.now - self._pruned_at > _PRUNE_INTERVAL:
            self._pruned_at = work.now
            store.prune_requests(work.now - REQUEST_ID_RETENTION)

    @property
    def is_busy(self) -> bool:
        """True while a query to git is pending."""
        return self._resolver.has_pending

    def max_wait(self) -> float:
        if self.is_busy:
            return 0.2 if self._next_retry is None else 0.02
        times = [*self._sources.poll_times(), *([] if self._next_retry is None else [self._next_retry])]
        return max(0.02, min(times) - self._now) if times else self._settings.poll_interval

    def stop(self, work: UnitOfWork) -> None:
        """Hands nothing over: pending requests are stored."""

    # --- events

    def _open_store(self, work: UnitOfWork) -> RequestStore:
        store = RequestStore(work.documents)
        self._sources.load_configured(store, work.now)
        return store

    def _on_build_requested(self, request: BuildRequested, work: UnitOfWork) -> None:
        assert request.request_id is not None  # the loop fills it in
        store = RequestStore(work.documents)
        entry = store.request(request.request_id)
        if entry is not None and entry.status is not RequestStatus.REJECTED:
            if entry.request == request:
                _LOG.info("request was received before", extra={"request": request.request_id})
                return
            message = f"request {request.request_id}: this id belongs to another request"
            raise Rejected(message, code="request-id-taken", hint="Choose an id that is used once, or none.")
        pending = PendingRequest(
            request_id=request.request_id,
            source=request.source,
            ref="" if request.ref == "HEAD" else request.ref,
            received_at=work.now,
            retry_at=work.now,
            request=request,
        )
        if self._admit(pending, work):
            waiting = RequestEntry(status=RequestStatus.WAITING, at=work.now, request=request)
            store.put_request(request.request_id, waiting)

    def _admit(self, pending: PendingRequest, work: UnitOfWork) -> bool:
        """Stores a request as pending, or rejects it when its source is not followed."""
        if pending.source not in self._sources:
            self._apply(rejection(pending, self._sources.unknown_error(pending.source), work.now), work)
            return False
        RequestStore(work.documents).put_pending(pending)
        self._next_retry = work.now
        return True

    def _on_source_remove_requested(self, name: SourceName, work: UnitOfWork) -> None:
        store = RequestStore(work.documents)
        self._sources.remove(name, store)
        work.emit(SourceRemoved(source=name))
        for pending in store.pending_requests(name):
            self._apply(rejection(pending, self._sources.unknown_error(name), work.now), work)

    def _on_request_finished(self, request_id: RequestId, work: UnitOfWork) -> None:
        store = RequestStore(work.documents)
        entry = store.request(request_id)
        if entry is not None and entry.status is RequestStatus.ACCEPTED:
            finished = RequestEntry(status=RequestStatus.FINISHED, at=work.now, request=entry.request)
            store.put_request(request_id, finished)
            store.drop_pending(request_id)

    # --- queries and results

    def _poll_sources(self, store: RequestStore, now: float) -> None:
        """Submits a query for each source that is due, or that a pending request waits for."""
        pending = self._pending_requests(store, now) if self._next_retry is not None else []
        for name, source in self._sources.items():
            if self._resolver.is_pending(name):
                continue
            ready = [item for item in pending if item.source == name and item.retry_at <= now]
            if ready or self._sources.is_due(name, now):
                self._resolver.submit(build_query(name, source, store.head(name), ready, now))
                self._sources.schedule(name, now + self._settings.poll_interval)
        is_resolving = self._resolver.is_pending
        waiting = [item.retry_at for item in pending if item.retry_at > now or is_resolving(item.source)]
        self._next_retry = min(waiting, default=None)

    def _pending_requests(self, store: RequestStore, now: float) -> list[PendingRequest]:
        requests = []
        for stored in store.pending_requests():
            request = clamp_retry_time(stored, now)
            if request is not stored:
                store.put_pending(request)
            requests.append(request)
        return requests

    def _on_resolved(self, result: ResolveResult, work: UnitOfWork) -> None:
        """Applies a result, unless the source was removed or changed since the query."""
        query = result.query
        source = self._sources.get(query.source)
        if source is None or source != FollowedSource(
            url=query.url, branch=query.branch, rebuild_suffix=query.rebuild_suffix
        ):
            return
        head = result.head.revision if isinstance(result.head, ResolvedCommit) else None
        entries = RequestStore(work.documents).source_entries(query.source, head)
        decision = reconcile(result, entries, work.now, build_pushes=self._settings.build_on_push)
        self._apply(decision, work)

    def _apply(self, decision: Decision, work: UnitOfWork) -> None:
        """Stores a decision and emits its events."""
        RequestStore(work.documents).apply(decision.changes)
        for event in decision.events:
            work.emit(event)
        for pending in decision.changes.postponed:
            self._next_retry = pending.retry_at
        log_decision(decision)


def _followed(source: SourceSettings | SourceAddRequested) -> FollowedSource:
    return FollowedSource(url=source.url, branch=source.branch, rebuild_suffix=source.rebuild_suffix)
