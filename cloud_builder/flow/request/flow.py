"""The Flow of cb-request.

A wish is written down and answered in a later tick, when git has been asked: the loop never waits for a network. What
an answer leads to is in desk.py. Everything that must survive is in the Book; what is in memory can be asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from cloud_builder.errors import CloudBuilderError, Rejected, Retryable
from cloud_builder.model.events import (
    BuildRequested,
    RequestFinished,
    SourceAddRequested,
    SourceRemoved,
    SourceRemoveRequested,
    SourceTroubled,
)
from cloud_builder.model.ids import RequestId, SourceName
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import Role
from cloud_builder.model.settings import RequestSettings, SourceSettings
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.metadata import MetadataReader, RepositoryStates
from cloud_builder.ports.source import SourceMirror
from cloud_builder.ports.state import Documents

from . import malformed
from .discover import UnitDiscovery
from .reconcile import SourceReconciler
from .resolver import ResolvedCommit, ResolveQuery, ResolveResult, SourceResolver
from .store import REQUEST_ID_RETENTION, FollowedSource, PendingRequest, RequestEntry, RequestStatus, RequestStore

_LOG = logging.getLogger("cb.request")
SOURCE_TIMEOUT = 60.0
"""Seconds that a wish waits for a source that does not answer."""
_LONGEST_PAUSE = 10.0
_PRUNE_EVERY = 3600.0


class RequestFlow:
    """ports.mesh.Flow. `sources`: those that the settings name; others come and go by events."""

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
        self._named = {
            SourceName(name): FollowedSource(url=one.url, branch=one.branch) for name, one in sources.items()
        }
        discovery = UnitDiscovery(metadata, repositories, settings.manifest_max_bytes)
        self._lookout = SourceResolver(mirror, discovery, settings.repository_state_max_age)
        self._sources: dict[SourceName, FollowedSource] = {}
        self._is_adopted = False
        self._removed: set[SourceName] = set()
        self._due: dict[SourceName, float] = {}
        self._next_wish: float | None = None
        self._now = 0.0
        self._pruned_at = 0.0

    # --- ports.mesh.Flow

    def restore(self, state: Documents) -> None:
        book = RequestStore(state)
        self._sources = book.sources()
        self._is_adopted = False
        self._next_wish = min((wish.retry_at for wish in book.pending_requests()), default=None)

    def republish(self, work: UnitOfWork) -> None:
        """Tips are announced again, and open requests told again as they were, when git has been asked once more."""
        self._load_configured_sources(work)
        book = RequestStore(work.documents)
        book.forget_announcements()
        self._due.clear()
        for accepted in book.open_requests():
            _LOG.info("told again to a new broker", extra={"request": accepted.request_id})
            wish = PendingRequest(
                request_id=accepted.request_id,
                source=accepted.source,
                ref=accepted.revision,
                received_at=work.now,
                retry_at=work.now,
                accepted=accepted,
            )
            if accepted.source in self._sources:
                book.put_pending(wish)
                self._next_wish = work.now
            else:
                SourceReconciler(work).reject(wish, self._unknown(accepted.source))

    def handle(self, event: Received, work: UnitOfWork) -> None:
        self._load_configured_sources(work)
        match event.payload:
            case BuildRequested() as wish:
                self._on_build_requested(wish, work)
            case SourceAddRequested() as added:
                self._removed.discard(added.source)
                self._add(added.source, FollowedSource(url=added.url, branch=added.branch), work)
            case SourceRemoveRequested() as removed:
                self._remove(removed.source, work)
            case RequestFinished() as finished:
                self._on_request_finished(finished.request_id, work)

    def reject(self, value: bytes | None, reason: str, work: UnitOfWork) -> bool:
        """Called by the loop for a message it cannot decode: True when whoever sent it can learn of it."""
        if not malformed.is_build_request(reason):
            return False
        rejected = malformed.rejection(value, reason, work.now)
        book = RequestStore(work.documents)
        known = book.request(rejected.request_id)
        if known is not None and known.standing is not RequestStatus.REJECTED:
            return False
        book.put_request(rejected.request_id, RequestEntry(standing=RequestStatus.REJECTED, at=work.now))
        work.emit(rejected)
        _LOG.info("rejected", extra={"request": rejected.request_id, "code": rejected.code, "cause": reason})
        return True

    def tick(self, work: UnitOfWork) -> None:
        self._now = work.now
        self._load_configured_sources(work)
        for answer in self._lookout.results():
            self._apply_result(answer, work)
        self._poll_sources(work)
        if work.now - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = work.now
            RequestStore(work.documents).forget_requests(work.now - REQUEST_ID_RETENTION)

    @property
    def is_busy(self) -> bool:
        """Whether git is being asked."""
        return self._lookout.has_pending

    def max_wait(self) -> float:
        if self.is_busy:
            return 0.2 if self._next_wish is None else 0.02
        dues = [*self._due.values(), *([] if self._next_wish is None else [self._next_wish])]
        return max(0.02, min(dues) - self._now) if dues else self._settings.poll_interval

    def stop(self, work: UnitOfWork) -> None:
        """Nothing to hand over: wishes are written down."""

    # --- sources

    def _load_configured_sources(self, work: UnitOfWork) -> None:
        """What the settings name holds from each start on."""
        if not self._is_adopted:
            self._is_adopted = True
            for name, source in self._named.items():
                if name not in self._removed:
                    self._add(name, source, work)

    def _add(self, name: SourceName, source: FollowedSource, work: UnitOfWork) -> None:
        if not source.url.strip():
            raise Rejected(f"source {name}: the URL is empty", code="malformed", hint="Give a path or a URL of git.")
        self._due[name] = work.now
        RequestStore(work.documents).recheck_source_error(name)
        if self._sources.get(name) == source:
            return
        self._sources[name] = source
        RequestStore(work.documents).put_source(name, source)
        _LOG.info("source followed", extra={"source": name, "branch": source.branch or "default"})

    def _remove(self, name: SourceName, work: UnitOfWork) -> None:
        if name not in self._sources:
            raise self._unknown(name)
        if name in self._named:
            _LOG.warning("source is named by the settings, and comes back at the next start", extra={"source": name})
        self._removed.add(name)
        del self._sources[name]
        self._due.pop(name, None)
        book = RequestStore(work.documents)
        book.forget_source(name)
        work.emit(SourceRemoved(source=name))
        _LOG.info("source removed", extra={"source": name})
        for wish in book.pending_requests(name):
            SourceReconciler(work).reject(wish, self._unknown(name))

    def _unknown(self, name: str) -> Rejected:
        hint = did_you_mean(name, self._sources) or "None is known: cb-ctl source add NAME URL"
        return Rejected(f'no source "{name[:100]}"', code="unknown-source", hint=hint)

    # --- wishes

    def _on_build_requested(self, wish: BuildRequested, work: UnitOfWork) -> None:
        assert wish.request_id is not None  # the loop fills it in
        book = RequestStore(work.documents)
        known = book.request(wish.request_id)
        if known is not None and known.standing is not RequestStatus.REJECTED:
            if known.request == wish:
                _LOG.info("request is known already", extra={"request": wish.request_id})
                return
            message = f"request {wish.request_id}: this id belongs to another request"
            raise Rejected(message, code="request-id-taken", hint="Choose an id that is used once, or none.")
        waiting = PendingRequest(
            request_id=wish.request_id,
            source=wish.source,
            ref="" if wish.ref == "HEAD" else wish.ref,
            received_at=work.now,
            retry_at=work.now,
            request=wish,
        )
        if wish.source not in self._sources:
            SourceReconciler(work).reject(waiting, self._unknown(wish.source))
            return
        book.put_pending(waiting)
        book.put_request(wish.request_id, RequestEntry(standing=RequestStatus.WAITING, at=work.now, request=wish))
        self._next_wish = work.now

    def _on_request_finished(self, request_id: RequestId, work: UnitOfWork) -> None:
        book = RequestStore(work.documents)
        known = book.request(request_id)
        if known is not None and known.standing is RequestStatus.ACCEPTED:
            ended = RequestEntry(standing=RequestStatus.FINISHED, at=work.now, request=known.request)
            book.put_request(request_id, ended)
            book.drop_pending(request_id)

    # --- questions and answers

    def _poll_sources(self, work: UnitOfWork) -> None:
        wishes = (
            [_clamp_retry_time(wish, work) for wish in RequestStore(work.documents).pending_requests()]
            if self._next_wish is not None
            else []
        )
        for name, source in self._sources.items():
            if self._lookout.is_pending(name):
                continue
            ready = [wish for wish in wishes if wish.source == name and wish.retry_at <= work.now]
            if ready or work.now >= self._due.get(name, 0.0):
                refs = tuple(dict.fromkeys(wish.ref for wish in ready))
                tip = RequestStore(work.documents).tip(name)
                tip = tip if tip is not None and tip.url == source.url else None
                first, before = (tip.branch, tip.revision) if tip is not None else ("", None)
                spans = tuple(dict.fromkeys(wish.span for wish in ready if wish.span[1]))
                self._lookout.submit(
                    ResolveQuery(
                        name,
                        source.url,
                        source.branch,
                        refs,
                        work.now,
                        first,
                        comparisons=spans,
                        announced_revision=before,
                    )
                )
                self._due[name] = work.now + self._settings.poll_interval
        asleep = [wish.retry_at for wish in wishes if wish.retry_at > work.now or self._lookout.is_pending(wish.source)]
        self._next_wish = min(asleep, default=None)

    def _apply_result(self, answer: ResolveResult, work: UnitOfWork) -> None:
        name = answer.question.source
        source = self._sources.get(name)
        if source is None or (source.url, source.branch) != (answer.question.url, answer.question.branch):
            return
        desk = SourceReconciler(work)
        if isinstance(answer.head, ResolvedCommit):
            desk.reconcile_branch(name, source, answer, answer.head, is_built=self._settings.build_on_push)
        self._report_source_error(name, source.url, answer.error or answer.head, work)
        for wish in RequestStore(work.documents).pending_requests(name):
            found = answer.to(wish.span, wish.retry_at)
            if isinstance(found, ResolvedCommit):
                desk.resolve_request(wish, found, source, answer)
            elif isinstance(found, Retryable) and work.now - wish.received_at < SOURCE_TIMEOUT:
                self._postpone(wish, work)
            elif found is not None:
                desk.reject(wish, found)

    def _postpone(self, wish: PendingRequest, work: UnitOfWork) -> None:
        pause = min(_LONGEST_PAUSE, 2.0**wish.tries)
        RequestStore(work.documents).put_pending(
            wish.model_copy(update={"retry_at": work.now + pause, "tries": wish.tries + 1})
        )
        self._next_wish = work.now + pause

    def _report_source_error(self, name: SourceName, url: str, trouble: object, work: UnitOfWork) -> None:
        """Once, until it changes."""
        error = trouble if isinstance(trouble, CloudBuilderError) else Rejected("", code="well")
        book = RequestStore(work.documents)
        if error.message == book.source_error(name):
            return
        book.put_source_error(name, error.message)
        code = error.code if error.message else ""
        event = SourceTroubled(source=name, url=url, code=code, message=error.message, hint=error.hint, at=work.now)
        work.emit(event)
        extra = {"source": name, "cause": error.message}
        _LOG.warning("source does not answer", extra=extra) if code else _LOG.info("source answers", extra=extra)


def _clamp_retry_time(wish: PendingRequest, work: UnitOfWork) -> PendingRequest:
    """A wish is never put off for so long: the clock was ahead when it was written down."""
    if wish.retry_at <= work.now + _LONGEST_PAUSE:
        return wish
    right = wish.model_copy(update={"retry_at": work.now, "received_at": work.now})
    RequestStore(work.documents).put_pending(right)
    return right
