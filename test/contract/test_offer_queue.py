"""The contract of ports.queue: in memory, and a share group of Kafka."""

from __future__ import annotations

import subprocess
import sys
import time
from uuid import uuid4

import pytest

from cloud_builder.adapters.kafka import share_group
from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.adapters.kafka.offer_queue import KafkaOfferQueue
from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.queue import MemoryGroup, MemoryOfferQueue
from cloud_builder.mesh.codec import encode
from cloud_builder.model.events import JobOffered
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.ports.broker import OutgoingRecord
from cloud_builder.wiring.broker import read_offer
from support.waiting import LIMIT, until


class Memory:
    """Pools of runners over the broker in memory."""

    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._group = MemoryGroup(self._broker, read_offer)
        self.producer = self._broker.producer()

    def member(self, *names: str, slots: int = 1) -> MemoryOfferQueue:
        return MemoryOfferQueue(self._group, names)

    def end(self) -> None: ...


class Kafka:
    """Pools of runners over a real Kafka."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.producer = KafkaBroker(settings, offers=True).producer()
        self._members: list[KafkaOfferQueue] = []

    def member(self, *names: str, slots: int = 1) -> KafkaOfferQueue:
        self._members.append(KafkaOfferQueue(self._settings, names, read_offer, slots))
        return self._members[-1]

    def end(self) -> None:
        self.producer.close()
        for member in self._members:
            member.close()


@pytest.fixture(params=["memory", "kafka"])
def pool(request):
    found = Memory() if request.param == "memory" else Kafka(request.getfixturevalue("kafka"))
    yield found
    found.end()


@pytest.fixture
def queue() -> str:
    return f"test-{uuid4().hex[:8]}"


def record(queue: str, job: str) -> OutgoingRecord:
    offer = JobOffered(job_id=job, attempt=1, queue=queue)
    return encode(offer, source="test", id=str(uuid4()), time=time.time())


def offer(pool, queue: str, *jobs: str) -> None:
    pool.producer.send([record(queue, job) for job in jobs], LIMIT)


def taken(member, most: int, number: int):
    """Returns `number` offers, in the order in which they were received."""
    found = []

    def take() -> bool:
        found.extend(member.take(most - len(found)))
        return len(found) >= number

    until(take, lambda: f"{number} offers, of which {jobs(found)} came")
    return found


def jobs(found) -> list[str]:
    return [offer.offer.job_id for offer in found]


def work_off(member, number: int) -> list[str]:
    """Takes and acknowledges offers, one at a time."""
    done = []
    for _ in range(number):
        found = taken(member, 1, 1)
        member.acknowledge(found)
        done += jobs(found)
    return done


def test_offers_are_delivered_in_order_and_only_when_requested(pool, queue):
    offer(pool, queue, "a.1", "a.2", "a.3")
    runner = pool.member(queue)
    first = taken(runner, 1, 1)
    assert jobs(first) == ["a.1"]
    assert runner.take(0) == []
    runner.acknowledge(first)
    assert work_off(runner, 2) == ["a.2", "a.3"]


def test_each_offer_goes_to_one_runner(pool, queue):
    one, other = pool.member(queue), pool.member(queue)
    offer(pool, queue, "a.1", "a.2")
    found = jobs([*taken(one, 1, 1), *taken(other, 1, 1)])
    assert sorted(found) == ["a.1", "a.2"]


def test_unacknowledged_offer_of_a_closed_queue_goes_to_another_runner(pool, queue):
    offer(pool, queue, "a.1", "a.2")
    one, other = pool.member(queue), pool.member(queue)
    kept = taken(one, 1, 1)
    one.acknowledge(kept)
    assert jobs(taken(one, 1, 1)) == ["a.2"]
    one.close()
    assert jobs(taken(other, 1, 1)) == ["a.2"]


def test_runner_fills_its_slots_and_takes_no_more(pool, queue):
    offer(pool, queue, *(f"a.{number}" for number in range(40)))
    runner, found = pool.member(queue, slots=40), []
    for free in (17, 23):
        left = free
        while left:
            some = taken(runner, left, 1)
            assert len(some) <= left
            runner.acknowledge(some)
            left -= len(some)
            found += jobs(some)
        assert runner.take(0) == []
        assert sorted(found) == sorted(f"a.{number}" for number in range(len(found)))
    assert len(found) == 40


def test_runner_takes_from_all_its_queues(pool, queue):
    runner = pool.member(queue, f"{queue}.suse")
    offer(pool, queue, "any.1")
    offer(pool, f"{queue}.suse", "suse.1")
    assert sorted(work_off(runner, 2)) == ["any.1", "suse.1"]
    assert runner.names == (queue, f"{queue}.suse")


def test_record_without_an_offer_is_discarded(pool, queue):
    rubbish = record(queue, "a.1")
    pool.producer.send([OutgoingRecord(rubbish.topic, b"k", b"{", rubbish.headers)], LIMIT)
    offer(pool, queue, "a.2")
    assert work_off(pool.member(queue), 1) == ["a.2"]


TAKES_AND_WAITS = """
import sys, time
from cloud_builder.adapters.kafka.offer_queue import KafkaOfferQueue
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.wiring.broker import read_offer
queue = KafkaOfferQueue(BrokerSettings(bootstrap=sys.argv[1]), [sys.argv[2]], read_offer, 1)
while not queue.take(1):
    time.sleep(0.01)
print("took it", flush=True)
time.sleep(60)
"""


def test_offer_of_a_killed_runner_goes_to_another(kafka, queue):
    pool = Kafka(kafka)
    offer(pool, queue, "a.1")
    command = [sys.executable, "-c", TAKES_AND_WAITS, kafka.bootstrap, queue]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout.readline() == "took it\n"
        victim.kill()
    assert jobs(taken(pool.member(queue), 1, 1)) == ["a.1"]
    pool.end()


def test_queue_continues_after_an_outage(own_kafka_server):
    pool = Kafka(own_kafka_server.settings)
    runner = pool.member("x86_64")
    offer(pool, "x86_64", "a.1")
    assert work_off(runner, 1) == ["a.1"]
    own_kafka_server.stop()
    runner.take(1)
    own_kafka_server.start()
    offer(pool, "x86_64", "a.2")
    while work_off(runner, 1) != ["a.2"]:
        """Acknowledgements that the broker lost in its crash: their offers are delivered again."""
    pool.end()


def test_check_accepts_a_kafka_with_share_groups(kafka):
    share_group.check_share_groups(kafka)
