"""From settings to a connection: the one place that names the adapter of the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_builder.model.settings import BrokerSettings

if TYPE_CHECKING:
    from cloud_builder.ports.broker import Broker


def broker(settings: BrokerSettings, *, offers: bool = False) -> Broker:
    """A connection to Kafka, or to the embedded broker of a running mesh. `offers`: for shared-queue dispatch."""
    from cloud_builder.adapters.kafka.broker import KafkaBroker

    return KafkaBroker(settings, offers=offers)
