"""The followed sources in memory, and when each is polled next. The store has the durable copy."""

from __future__ import annotations

import logging
from collections.abc import ItemsView, Iterable, Mapping

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import SourceName
from cloud_builder.model.nearest import did_you_mean

from .entries import FollowedSource
from .store import RequestStore

_LOG = logging.getLogger("cb.request")


class FollowedSources:
    """`configured`: the sources of the settings, followed from each start on. Others come and go by events."""

    def __init__(self, configured: Mapping[SourceName, FollowedSource]) -> None:
        self._configured = configured
        self._is_configuration_loaded = False
        self._sources: dict[SourceName, FollowedSource] = {}
        self._removed: set[SourceName] = set()
        self._poll_at: dict[SourceName, float] = {}

    def restore(self, store: RequestStore) -> None:
        self._sources = store.sources()
        self._is_configuration_loaded = False

    def load_configured(self, store: RequestStore, now: float) -> None:
        """Adds the sources of the settings once after each start, but those that an event has removed since."""
        if not self._is_configuration_loaded:
            self._is_configuration_loaded = True
            for name, source in self._configured.items():
                if name not in self._removed:
                    self._put(name, source, store, now)

    def add(self, name: SourceName, source: FollowedSource, store: RequestStore, now: float) -> None:
        """Follows a source, or polls it again now if it is followed. Raises Rejected when the URL is empty."""
        self._removed.discard(name)
        self._put(name, source, store, now)

    def _put(self, name: SourceName, source: FollowedSource, store: RequestStore, now: float) -> None:
        if not source.url.strip():
            raise Rejected(f"source {name}: the URL is empty", code="malformed", hint="Give a path or a URL of git.")
        self._poll_at[name] = now
        store.recheck_source_error(name)
        if self._sources.get(name) == source:
            return
        self._sources[name] = source
        store.put_source(name, source)
        _LOG.info("source followed", extra={"source": name, "branch": source.branch or "default"})

    def remove(self, name: SourceName, store: RequestStore) -> None:
        """Stops following a source. Raises Rejected when it is not followed."""
        if name not in self._sources:
            raise self.unknown_error(name)
        if name in self._configured:
            _LOG.warning("source is named by the settings, and comes back at the next start", extra={"source": name})
        self._removed.add(name)
        del self._sources[name]
        self._poll_at.pop(name, None)
        store.remove_source(name)
        _LOG.info("source removed", extra={"source": name})

    def get(self, name: SourceName) -> FollowedSource | None:
        return self._sources.get(name)

    def items(self) -> ItemsView[SourceName, FollowedSource]:
        return self._sources.items()

    def __contains__(self, name: SourceName) -> bool:
        return name in self._sources

    def unknown_error(self, name: str) -> Rejected:
        hint = did_you_mean(name, self._sources) or "None is known: cb-ctl source add NAME URL"
        return Rejected(f'no source "{name[:100]}"', code="unknown-source", hint=hint)

    # --- when to poll

    def is_due(self, name: SourceName, now: float) -> bool:
        return now >= self._poll_at.get(name, 0.0)

    def schedule(self, name: SourceName, at: float) -> None:
        self._poll_at[name] = at

    def schedule_all_now(self) -> None:
        self._poll_at.clear()

    def poll_times(self) -> Iterable[float]:
        return self._poll_at.values()
