"""Sending as the only one of its name: each `send` is a transaction, and the newest producer of a name ends the others.

Kafka's own fencing (KIP-98): `init_transactions` raises the epoch of the name and aborts what its former holder had
open; from then on no broker takes anything from the former holder, however long it was frozen. A transaction is seen as
a whole or not at all, because librdkafka's consumers read only what was committed.

A name is taken once, when the object is made. What goes wrong later is never mended by taking it again: that would
fence a successor. It is Fenced, and whoever takes the place anew looks first who has it.
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
from .connection import LARGEST_MESSAGE, Connection, Options
from .producer import TOO_LARGE, hand_over

_TRANSACTION = 10.0
"""Seconds until the broker ends a transaction by itself: so long a frozen scheduler may hold up its readers."""
_TAKE_TIMEOUT = 10.0
_POST_TIMEOUT = 2.0
_ANOTHER = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})


class FencingBroker(KafkaBroker):
    """A broker whose producer is the only one of `name`; it is made by `take`, and then handed out."""

    name = ""
    _taken: FencedProducer | None = None

    def acquire(self, name: str) -> None:
        """From now on nobody else of that name can write. Retryable while the broker cannot be reached."""
        self.name = name
        self._taken = FencedProducer(self._connection, name)

    def send_now(self, records: Sequence[OutgoingRecord]) -> None:
        """A transaction beside those of the loop; from any thread."""
        assert self._taken is not None, "take() comes first"
        self._taken.send(records, _POST_TIMEOUT)

    def producer(self) -> Producer:
        """Offers go beside the transactions, which would bundle them: one by a former scheduler is never granted."""
        assert self._taken is not None, "take() comes first"
        return self._offering(self._taken)


class _Arrived:
    """Fulfils ports.broker.Posted: what is committed has arrived."""

    def is_done(self) -> bool:
        return True

    def wait(self, timeout: float) -> None: ...


class FencedProducer:
    """Fulfils ports.broker.Producer; all of it raises Fenced once another producer has the name."""

    def __init__(self, connection: Connection, name: str, client: Callable[[Options], Client] = Client) -> None:
        self._connection = connection
        self._name = name
        self._sending = Lock()
        self._unsettled: Callable[[float], None] | None = None
        """Ends what an earlier send left open."""
        self._refused: KafkaError | None = None
        self._sent_to: frozenset[str] = frozenset()
        self._producer = client(self._options())
        try:
            self._producer.init_transactions(_TAKE_TIMEOUT)
        except KafkaException as error:
            raise self._explain(error.args[0]) from None

    def _options(self) -> Options:
        return self._connection.options(
            **{
                "transactional.id": self._name,
                "transaction.timeout.ms": int(_TRANSACTION * 1000),
                "message.timeout.ms": int(_TRANSACTION * 900),
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 0.5,
                "message.max.bytes": LARGEST_MESSAGE,
                "partitioner": "consistent_random",
            }
        )

    def post(self, records: Sequence[OutgoingRecord]) -> _Arrived:
        self.send(records, _POST_TIMEOUT)
        return _Arrived()

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        """All of them or none. Retryable: perhaps all of them, send again."""
        until = time.monotonic() + timeout
        with self._sending:
            try:
                self._settle(until)
                self._refused, self._sent_to = None, frozenset(record.topic for record in records)
                self._producer.begin_transaction()
                self._unsettled = self._producer.abort_transaction
                for record in records:
                    if not hand_over(self._producer, record, self._delivered, until):
                        raise self._connection.unreachable()
                self._unsettled = self._producer.commit_transaction
                self._settle(until)
            except KafkaException as error:
                raise self._explain(error.args[0]) from None

    def send_best_effort(self, record: OutgoingRecord) -> None:
        """Who must not be doubled has nothing to say outside of transactions."""

    def close(self, timeout: float = 5.0) -> None:
        """What is open is aborted by the broker, or by a successor."""
        with self._sending:
            self._producer.purge()

    def _settle(self, until: float) -> None:
        if self._unsettled is not None:
            self._unsettled(max(0.1, until - time.monotonic()))
            self._unsettled = None

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused = self._refused or error

    def _explain(self, error: KafkaError) -> CloudBuilderError:
        if error.code() in _ANOTHER:
            return Fenced(f"another process writes as {self._name} now", code="fenced")
        if (lack := self._lack(error)) is not None:
            return lack
        if error.fatal():
            return Fenced(f"the broker takes no more of {self._name}: {error.str()}", code="fenced", is_certain=False)
        if error.code() in TOO_LARGE or (self._refused and self._refused.code() in TOO_LARGE):
            self._unsettled = self._producer.abort_transaction
            return Rejected(f"message refused by the broker: {error.str()}", code="message-refused")
        if error.txn_requires_abort():
            self._unsettled = self._producer.abort_transaction
        unreachable: Retryable = self._connection.unreachable(error)
        return unreachable

    def _lack(self, error: KafkaError) -> NotAllowed | None:
        """A right that we lack: on the name (which librdkafka takes for the end of this producer), or on a topic that
        the transaction wrote to (of which it does not tell which)."""
        settings = self._connection.settings
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return acl_errors.missing_acl(settings, acl_errors.WRITE, acl_errors.TRANSACTIONAL_ID, [self._name])
        if KafkaError.TOPIC_AUTHORIZATION_FAILED in (error.code(), self._refused and self._refused.code()):
            self._unsettled = self._producer.abort_transaction
            return acl_errors.missing_acl(settings, acl_errors.WRITE, acl_errors.TOPIC, self._sent_to)
        return None
