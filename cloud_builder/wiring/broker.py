"""Connects to the broker and its shared queues by settings. No other module names their adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_builder.errors import Rejected
from cloud_builder.mesh.codec import Undecodable, decode
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.events import JobOffered
from cloud_builder.model.settings import BrokerSettings, Settings
from cloud_builder.planning.schedule.shared_queue import queues_of
from cloud_builder.ports.broker import Record

if TYPE_CHECKING:
    from cloud_builder.ports.broker import Broker
    from cloud_builder.ports.queue import OfferQueue


def connect(settings: BrokerSettings, *, offers: bool = False) -> Broker:
    """Connects to Kafka, or to the embedded broker of a running mesh. `offers`: for shared-queue dispatch."""
    from cloud_builder.adapters.kafka.broker import KafkaBroker

    return KafkaBroker(settings, offers=offers)


def offers(settings: Settings, arch: str) -> OfferQueue | None:
    """Returns the shared queues of this runner; None with directed dispatch. Rejected without share groups."""
    if settings.dispatch is not Dispatch.SHARED_QUEUE:
        return None
    from cloud_builder.adapters.kafka.offer_queue import KafkaOfferQueue

    probe_share_groups(settings.dispatch, settings.broker)
    runner = settings.runner
    return KafkaOfferQueue(settings.broker, queues_of(arch, runner.group), read_offer, runner.slots)


def require_share_groups(dispatch: Dispatch, broker: BrokerSettings | None) -> None:
    """Rejected when shared-queue dispatch is set for the embedded broker. `broker` None: the embedded one."""
    if dispatch is Dispatch.SHARED_QUEUE and (broker is None or broker.embedded):
        raise Rejected(
            "dispatch shared-queue: the embedded broker has no share groups",
            code="no-share-groups",
            hint="Use Apache Kafka 4.2 or newer (--broker HOST:PORT), or set `dispatch: directed`.",
        )


def probe_share_groups(dispatch: Dispatch, broker: BrokerSettings) -> None:
    """Rejected when the broker has no share groups. Ignores an unreachable broker, which the loop reports."""
    require_share_groups(dispatch, broker)
    if dispatch is Dispatch.SHARED_QUEUE:
        from cloud_builder.adapters.kafka.share_group import check_share_groups

        check_share_groups(broker)


def read_offer(record: Record) -> JobOffered | None:
    """Returns the offer in a record; None if it has none. The scheduler then finds that no runner claims the job."""
    try:
        payload = decode(record, "").payload
    except Undecodable:
        return None
    return payload if isinstance(payload, JobOffered) else None
