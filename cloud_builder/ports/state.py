"""The port to a daemon's durable state: documents by collection, input positions, seen events and the outbox.

All of them change in one transaction (outbox pattern), so that a crash neither loses nor repeats an event's effect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from cloud_builder.model.frozen import CachedJson

from .broker import OutgoingRecord, Partition

Document = dict[str, Any]


class Put(NamedTuple):
    """A document to write. `body` is a dict, or a model value whose JSON is cached. `parent`, `rank`: see Documents."""

    collection: str
    key: str
    body: Document | CachedJson[Any]
    parent: str = ""
    rank: float = 0.0


UNINDEXED = "unindexed-"
"""Prefix of collections without an index, whose documents are only read by their key. Without an index to maintain a
write is cheaper: for documents that are written all the time."""


class Documents(Protocol):
    """JSON documents, each in a collection under a key; `parent` groups them and `rank` orders them.

    An UNINDEXED collection has neither: `find` and `count` do not see its documents."""

    def get(self, collection: str, key: str) -> Document | None:
        """Returns the document, or None if there is none. The caller may change the dict."""

    def put(
        self, collection: str, key: str, body: Document | CachedJson[Any], *, parent: str = "", rank: float = 0.0
    ) -> None:
        """Inserts or replaces a document. The caller must not change a dict afterwards."""

    def delete(self, collection: str, key: str) -> None:
        """Deletes a document. A missing document is no error."""

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
        """Returns (key, body) by ascending rank (`newest`: descending), then by key; at most `most`.

        Only documents of `parent`, if given, with `after` < rank < `before`. The collection may be changed while the
        result is read."""

    def count(self, collection: str, *, parent: str | None = None) -> int:
        """Returns the number of documents in a collection, or of those with this parent."""


class StateStore(Documents, Protocol):
    """A daemon's whole durable state. One process opens it; opening it a second time raises Rejected."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commits everything inside, or rolls it back after an exception. Not nested.

        Raises Retryable if the disk is full: nothing of the transaction was written."""

    def put_all(self, documents: Iterable[Put]) -> None:
        """Inserts or replaces documents."""

    def get_with_index(self, collection: str, key: str) -> Put | None:
        """Returns a document with its parent and rank, or None if there is none."""

    def seen_of(self, event_ids: Collection[str]) -> set[str]:
        """Returns those of the ids that were marked as seen."""

    def seen_with_prefix(self, prefix: str) -> set[str]:
        """Returns all ids that were marked as seen and begin with `prefix`."""

    def mark_seen(self, event_ids: Iterable[str], at: float) -> None:
        """Marks event ids as seen. `at`: seconds since the epoch."""

    def prune_seen(self, before: float) -> int:
        """Deletes event ids that were marked before that time; returns how many."""

    def positions(self, incarnation: str) -> Mapping[Partition, int]:
        """Returns the next offset to read, by partition."""

    def save_positions(self, incarnation: str, positions: Mapping[Partition, int]) -> None:
        """Saves positions of a broker's incarnation; those of partitions that are not given stay."""

    def incarnation(self) -> str | None:
        """Returns the incarnation whose positions were saved last; None in a new state."""

    def outbox_add(self, records: Sequence[OutgoingRecord]) -> int:
        """Adds the records of one transaction as one packet. Returns its number; numbers only grow."""

    def outbox(self, most: int, *, after: int = 0) -> Sequence[tuple[int, Sequence[OutgoingRecord]]]:
        """Returns the oldest unconfirmed packets with a number above `after`, at most `most`, in order."""

    def outbox_confirm(self, up_to: int) -> None:
        """Deletes all packets up to this number: the broker has them."""

    def close(self) -> None: ...
