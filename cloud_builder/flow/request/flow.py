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
from cloud_builder.model.outcome import Role
from cloud_builder.model.settings import RequestSettings, SourceSettings
from cloud_builder.planning.nearest import did_you_mean
from cloud_builder.ports.mesh import Received, Work
from cloud_builder.ports.metadata import MetadataReader, RepositoryStates
from cloud_builder.ports.source import SourceMirror
from cloud_builder.ports.state import Documents

from . import malformed
from .discover import Discovery
from .reconcile import Desk
from .resolver import Answer, Lookout, Question, Sight
from .store import REMEMBER, Book, Followed, Request, Standing, Wish

_LOG = logging.getLogger("cb.request")
GIVE_UP = 60.0
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
        self._named = {SourceName(name): Followed(url=one.url, branch=one.branch) for name, one in sources.items()}
        discovery = Discovery(metadata, repositories, settings.manifest_max_bytes)
        self._lookout = Lookout(mirror, discovery, settings.repository_state_max_age)
        self._sources: dict[SourceName, Followed] = {}
        self._is_adopted = False
        self._removed: set[SourceName] = set()
        self._due: dict[SourceName, float] = {}
        self._next_wish: float | None = None
        self._now = 0.0
        self._pruned_at = 0.0

    # --- ports.mesh.Flow

    def restore(self, state: Documents) -> None:
        book = Book(state)
        self._sources = book.sources()
        self._is_adopted = False
        self._next_wish = min((wish.next_at for wish in book.wishes()), default=None)

    def resume(self, work: Work) -> None:
        """Tips are announced again, and open requests told again as they were, when git has been asked once more."""
        self._adopt(work)
        book = Book(work.state)
        book.forget_announcements()
        self._due.clear()
        for accepted in book.open_requests():
            _LOG.info("told again to a new broker", extra={"request": accepted.request_id})
            wish = Wish(
                request_id=accepted.request_id,
                source=accepted.source,
                ref=accepted.revision,
                since=work.now,
                next_at=work.now,
                accepted=accepted,
            )
            if accepted.source in self._sources:
                book.put_wish(wish)
                self._next_wish = work.now
            else:
                Desk(work).reject(wish, self._unknown(accepted.source))

    def handle(self, event: Received, work: Work) -> None:
        self._adopt(work)
        match event.payload:
            case BuildRequested() as wish:
                self._wanted(wish, work)
            case SourceAddRequested() as added:
                self._removed.discard(added.source)
                self._add(added.source, Followed(url=added.url, branch=added.branch), work)
            case SourceRemoveRequested() as removed:
                self._remove(removed.source, work)
            case RequestFinished() as finished:
                self._finished(finished.request_id, work)

    def reject(self, value: bytes | None, reason: str, work: Work) -> bool:
        """Called by the loop for a message it cannot decode: True when whoever sent it can learn of it."""
        if not malformed.is_wish(reason):
            return False
        rejected = malformed.answer(value, reason, work.now)
        book = Book(work.state)
        known = book.request(rejected.request_id)
        if known is not None and known.standing is not Standing.REJECTED:
            return False
        book.put_request(rejected.request_id, Request(standing=Standing.REJECTED, at=work.now))
        work.emit(rejected)
        _LOG.info("rejected", extra={"request": rejected.request_id, "code": rejected.code, "cause": reason})
        return True

    def tick(self, work: Work) -> None:
        self._now = work.now
        self._adopt(work)
        for answer in self._lookout.answers():
            self._take(answer, work)
        self._ask(work)
        if work.now - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = work.now
            Book(work.state).forget_requests(work.now - REMEMBER)

    @property
    def is_busy(self) -> bool:
        """Whether git is being asked."""
        return self._lookout.is_busy

    def patience(self) -> float:
        if self.is_busy:
            return 0.2 if self._next_wish is None else 0.02
        dues = [*self._due.values(), *([] if self._next_wish is None else [self._next_wish])]
        return max(0.02, min(dues) - self._now) if dues else self._settings.poll_interval

    def stop(self, work: Work) -> None:
        """Nothing to hand over: wishes are written down."""

    # --- sources

    def _adopt(self, work: Work) -> None:
        """What the settings name holds from each start on."""
        if not self._is_adopted:
            self._is_adopted = True
            for name, source in self._named.items():
                if name not in self._removed:
                    self._add(name, source, work)

    def _add(self, name: SourceName, source: Followed, work: Work) -> None:
        if not source.url.strip():
            raise Rejected(f"source {name}: the URL is empty", code="malformed", hint="Give a path or a URL of git.")
        self._due[name] = work.now
        Book(work.state).doubt(name)
        if self._sources.get(name) == source:
            return
        self._sources[name] = source
        Book(work.state).put_source(name, source)
        _LOG.info("source followed", extra={"source": name, "branch": source.branch or "default"})

    def _remove(self, name: SourceName, work: Work) -> None:
        if name not in self._sources:
            raise self._unknown(name)
        if name in self._named:
            _LOG.warning("source is named by the settings, and comes back at the next start", extra={"source": name})
        self._removed.add(name)
        del self._sources[name]
        self._due.pop(name, None)
        book = Book(work.state)
        book.forget_source(name)
        work.emit(SourceRemoved(source=name))
        _LOG.info("source removed", extra={"source": name})
        for wish in book.wishes(name):
            Desk(work).reject(wish, self._unknown(name))

    def _unknown(self, name: str) -> Rejected:
        hint = did_you_mean(name, self._sources) or "None is known: cb-ctl source add NAME URL"
        return Rejected(f'no source "{name[:100]}"', code="unknown-source", hint=hint)

    # --- wishes

    def _wanted(self, wish: BuildRequested, work: Work) -> None:
        assert wish.request_id is not None  # the loop fills it in
        book = Book(work.state)
        known = book.request(wish.request_id)
        if known is not None and known.standing is not Standing.REJECTED:
            if known.wanted == wish:
                _LOG.info("request is known already", extra={"request": wish.request_id})
                return
            message = f"request {wish.request_id}: this id belongs to another request"
            raise Rejected(message, code="request-id-taken", hint="Choose an id that is used once, or none.")
        waiting = Wish(
            request_id=wish.request_id,
            source=wish.source,
            ref="" if wish.ref == "HEAD" else wish.ref,
            since=work.now,
            next_at=work.now,
            wanted=wish,
        )
        if wish.source not in self._sources:
            Desk(work).reject(waiting, self._unknown(wish.source))
            return
        book.put_wish(waiting)
        book.put_request(wish.request_id, Request(standing=Standing.WAITING, at=work.now, wanted=wish))
        self._next_wish = work.now

    def _finished(self, request_id: RequestId, work: Work) -> None:
        book = Book(work.state)
        known = book.request(request_id)
        if known is not None and known.standing is Standing.ACCEPTED:
            ended = Request(standing=Standing.FINISHED, at=work.now, wanted=known.wanted)
            book.put_request(request_id, ended)
            book.drop_wish(request_id)

    # --- questions and answers

    def _ask(self, work: Work) -> None:
        wishes = [_set_right(wish, work) for wish in Book(work.state).wishes()] if self._next_wish is not None else []
        for name, source in self._sources.items():
            if self._lookout.is_asking(name):
                continue
            ready = [wish for wish in wishes if wish.source == name and wish.next_at <= work.now]
            if ready or work.now >= self._due.get(name, 0.0):
                refs = tuple(dict.fromkeys(wish.ref for wish in ready))
                tip = Book(work.state).tip(name)
                tip = tip if tip is not None and tip.url == source.url else None
                first, before = (tip.branch, tip.revision) if tip is not None else ("", None)
                spans = tuple(dict.fromkeys(wish.span for wish in ready if wish.span[1]))
                self._lookout.ask(
                    Question(name, source.url, source.branch, refs, work.now, first, spans=spans, before=before)
                )
                self._due[name] = work.now + self._settings.poll_interval
        asleep = [wish.next_at for wish in wishes if wish.next_at > work.now or self._lookout.is_asking(wish.source)]
        self._next_wish = min(asleep, default=None)

    def _take(self, answer: Answer, work: Work) -> None:
        name = answer.question.source
        source = self._sources.get(name)
        if source is None or (source.url, source.branch) != (answer.question.url, answer.question.branch):
            return
        desk = Desk(work)
        if isinstance(answer.tip, Sight):
            desk.follow(name, source, answer, answer.tip, is_built=self._settings.build_on_push)
        self._complain(name, source.url, answer.error or answer.tip, work)
        for wish in Book(work.state).wishes(name):
            found = answer.to(wish.span, wish.next_at)
            if isinstance(found, Sight):
                desk.settle(wish, found, source, answer)
            elif isinstance(found, Retryable) and work.now - wish.since < GIVE_UP:
                self._postpone(wish, work)
            elif found is not None:
                desk.reject(wish, found)

    def _postpone(self, wish: Wish, work: Work) -> None:
        pause = min(_LONGEST_PAUSE, 2.0**wish.tries)
        Book(work.state).put_wish(wish.model_copy(update={"next_at": work.now + pause, "tries": wish.tries + 1}))
        self._next_wish = work.now + pause

    def _complain(self, name: SourceName, url: str, trouble: object, work: Work) -> None:
        """Once, until it changes."""
        error = trouble if isinstance(trouble, CloudBuilderError) else Rejected("", code="well")
        book = Book(work.state)
        if error.message == book.complaint(name):
            return
        book.put_complaint(name, error.message)
        code = error.code if error.message else ""
        event = SourceTroubled(source=name, url=url, code=code, message=error.message, hint=error.hint, at=work.now)
        work.emit(event)
        extra = {"source": name, "cause": error.message}
        _LOG.warning("source does not answer", extra=extra) if code else _LOG.info("source answers", extra=extra)


def _set_right(wish: Wish, work: Work) -> Wish:
    """A wish is never put off for so long: the clock was ahead when it was written down."""
    if wish.next_at <= work.now + _LONGEST_PAUSE:
        return wish
    right = wish.model_copy(update={"next_at": work.now, "since": work.now})
    Book(work.state).put_wish(right)
    return right
