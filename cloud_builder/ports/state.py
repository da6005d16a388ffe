"""The port to a daemon's own durable state: documents by collection, in transactions, together with the daemon's
input positions and its outgoing messages (outbox pattern).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from cloud_builder.model.frozen import CachedJson

from .broker import OutgoingRecord, Partition

Document = dict[str, Any]


class Put(NamedTuple):
    """A document to be written. A frozen value may stand for it."""

    collection: str
    key: str
    body: Document | CachedJson[Any]
    parent: str = ""
    rank: float = 0.0


UNINDEXED = "loose-"
"""With this begin the names of collections whose documents are only ever asked for by their key: they have no place
among each other, so that nothing has to be kept in order for them. For what is written all the time."""


class Documents(Protocol):
    """JSON documents, each in a collection under a key; `parent` groups them and `rank` orders them.

    A LOOSE collection knows neither: it cannot be searched or counted."""

    def get(self, collection: str, key: str) -> Document | None: ...

    def put(
        self, collection: str, key: str, body: Document | CachedJson[Any], *, parent: str = "", rank: float = 0.0
    ) -> None:
        """Inserts or replaces. A dict must not be changed afterwards."""

    def delete(self, collection: str, key: str) -> None: ...

    def find(
        self,
        collection: str,
        *,
        parent: str | None = None,
        newest: bool = False,
        most: int | None = None,
        after: float | None = None,
        before: float | None = None,
    ) -> Iterator[tuple[str, Document]]:
        """(key, body) by ascending rank (`newest`: descending), then key; only those with `after` < rank < `before`."""

    def count(self, collection: str, *, parent: str | None = None) -> int: ...


class StateStore(Documents, Protocol):
    """A daemon's whole durable memory. One process opens it; opening a second time raises Rejected."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing for everything inside; an exception rolls back. Not nested."""

    def put_all(self, documents: Iterable[Put]) -> None: ...

    def get_with_index(self, collection: str, key: str) -> Put | None:
        """A document with its place."""

    def seen_of(self, event_ids: Collection[str]) -> set[str]:
        """Those of them that were marked."""

    def seen_with_prefix(self, prefix: str) -> set[str]:
        """All that were marked and begin with it."""

    def mark_seen(self, event_ids: Iterable[str], at: float) -> None: ...

    def forget_seen(self, before: float) -> int:
        """Forgets event ids marked before that time; returns how many."""

    def positions(self, incarnation: str) -> Mapping[Partition, int]:
        """The next offset to read, by partition."""

    def save_positions(self, incarnation: str, positions: Mapping[Partition, int]) -> None: ...

    def incarnation(self) -> str | None:
        """The incarnation whose positions were saved last."""

    def outbox_add(self, records: Sequence[OutgoingRecord]) -> int:
        """What one transaction says is one packet; its number, which is above all before."""

    def outbox(self, most: int, *, after: int = 0) -> Sequence[tuple[int, Sequence[OutgoingRecord]]]:
        """The oldest packets not yet confirmed whose number is above `after`, in the order they were added."""

    def outbox_confirm(self, up_to: int) -> None:
        """The broker has everything up to this number."""

    def close(self) -> None: ...
