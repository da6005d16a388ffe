"""Sends records in transactions, as the only producer of a transactional id. A new producer of the id fences the old.

    old leader                     Kafka                          new leader
    send ── transaction ─────────► epoch n
                                   epoch n + 1  ◄──────────────── acquire: init_transactions
                                   aborts the open transaction of epoch n
    send ── transaction ─────────► refused: Fenced
                                   epoch n + 1  ◄── transaction ── send

Fencing is Kafka's own (KIP-98): from `init_transactions` on, brokers refuse the former producer, however long it was
frozen. Readers see a transaction as a whole or not at all, because librdkafka's consumers read only committed records.

The id is acquired once, in the constructor. No later error is answered by acquiring it again, which would fence a
successor: the producer raises Fenced, and the process first checks who leads before it acquires the id anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from cloud_builder.errors import CloudBuilderError, Fenced, NotAllowed, Rejected, Retryable
from cloud_builder.ports.broker import OutgoingRecord, Producer

from . import acl_errors
from .broker import KafkaBroker
from .connection import MAX_MESSAGE_BYTES, Connection, Options
from .producer import TOO_LARGE, enqueue

_TRANSACTION_TIMEOUT = 10.0
"""Seconds until the broker aborts an open transaction. For so long a frozen scheduler may delay its readers."""
_ACQUIRE_TIMEOUT = 10.0
_POST_TIMEOUT = 2.0
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})


class FencingBroker(KafkaBroker):
    """A broker with one producer, the only one of the transactional id `name`. `acquire` makes it."""

    name = ""
    _fenced_producer: FencedProducer | None = None

    def acquire(self, name: str) -> None:
        """Acquires the transactional id: no other producer of it can write any more.

        Raises Retryable while the broker cannot be reached."""
        self.name = name
        self._fenced_producer = FencedProducer(self._connection, name)

    def send_now(self, records: Sequence[OutgoingRecord]) -> None:
        """Sends records in a transaction of their own, beside those of the loop. May be called from any thread."""
        assert self._fenced_producer is not None, "acquire() comes first"
        self._fenced_producer.send(records, _POST_TIMEOUT)

    def producer(self) -> Producer:
        """Returns the producer. Offers are sent outside of transactions, which would put them into one batch.

        An offer of a fenced scheduler does no harm, because its claims are never granted."""
        assert self._fenced_producer is not None, "acquire() comes first"
        return self._with_offers(self._fenced_producer)


class _CompletedSend:
    """Implements ports.broker.PendingSend: committed records have arrived."""

    def is_done(self) -> bool:
        return True

    def wait(self, timeout: float) -> None: ...


class FencedProducer:
    """Implements ports.broker.Producer in transactions.

    All methods that send raise Fenced once another producer has the transactional id."""

    def __init__(self, connection: Connection, name: str, client: Callable[[Options], Client] = Client) -> None:
        self._connection = connection
        self._name = name
        self._sending = Lock()
        self._unfinished: Callable[[float], None] | None = None
        """Commits or aborts the transaction that an earlier send left open."""
        self._refused: KafkaError | None = None
        self._sent_to: frozenset[str] = frozenset()
        self._producer = client(self._options())
        try:
            self._producer.init_transactions(_ACQUIRE_TIMEOUT)
        except KafkaException as error:
            raise self._explain(error.args[0]) from None

    def _options(self) -> Options:
        return self._connection.options(
            **{
                "transactional.id": self._name,
                "transaction.timeout.ms": int(_TRANSACTION_TIMEOUT * 1000),
                "message.timeout.ms": int(_TRANSACTION_TIMEOUT * 900),
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 0.5,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "partitioner": "consistent_random",
            }
        )

    def post(self, records: Sequence[OutgoingRecord]) -> _CompletedSend:
        self.send(records, _POST_TIMEOUT)
        return _CompletedSend()

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        """Sends all records or none. After Retryable they may have arrived, all of them: send them again."""
        until = time.monotonic() + timeout
        with self._sending:
            try:
                self._finish_transaction(until)
                self._refused, self._sent_to = None, frozenset(record.topic for record in records)
                self._producer.begin_transaction()
                self._unfinished = self._producer.abort_transaction
                for record in records:
                    if not enqueue(self._producer, record, self._on_delivery, until):
                        raise self._connection.unreachable()
                self._unfinished = self._producer.commit_transaction
                self._finish_transaction(until)
            except KafkaException as error:
                raise self._explain(error.args[0]) from None

    def send_best_effort(self, record: OutgoingRecord) -> None:
        """Drops the record: a process that may be fenced sends nothing outside of transactions."""

    def close(self, timeout: float = 5.0) -> None:
        """Discards queued records. The broker or a successor aborts an open transaction."""
        with self._sending:
            self._producer.purge()

    def _finish_transaction(self, until: float) -> None:
        if self._unfinished is not None:
            self._unfinished(max(0.1, until - time.monotonic()))
            self._unfinished = None

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused = self._refused or error

    def _explain(self, error: KafkaError) -> CloudBuilderError:
        if error.code() in _FENCED:
            return Fenced(f"another process writes as {self._name} now", code="fenced")
        if (missing := self._missing_acl(error)) is not None:
            return missing
        if error.fatal():
            return Fenced(f"the broker refuses {self._name} now: {error.str()}", code="fenced", is_certain=False)
        if error.code() in TOO_LARGE or (self._refused and self._refused.code() in TOO_LARGE):
            self._unfinished = self._producer.abort_transaction
            return Rejected(f"message refused by the broker: {error.str()}", code="message-refused")
        if error.txn_requires_abort():
            self._unfinished = self._producer.abort_transaction
        unreachable: Retryable = self._connection.unreachable(error)
        return unreachable

    def _missing_acl(self, error: KafkaError) -> NotAllowed | None:
        """Returns the error for a missing ACL: on the transactional id, or on a topic of the transaction.

        librdkafka reports the first as the end of the producer, and the second without the topic's name."""
        settings = self._connection.settings
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return acl_errors.missing_acl(settings, acl_errors.WRITE, acl_errors.TRANSACTIONAL_ID, [self._name])
        if KafkaError.TOPIC_AUTHORIZATION_FAILED in (error.code(), self._refused and self._refused.code()):
            self._unfinished = self._producer.abort_transaction
            return acl_errors.missing_acl(settings, acl_errors.WRITE, acl_errors.TOPIC, self._sent_to)
        return None
