"""Many units in one request on many runners: all built once and published; no message and no daemon grows large."""

from __future__ import annotations

import urllib.request
from collections import Counter

import pytest

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import TOPICS
from e2e.big.big_sizes import FLAT, largest_of
from e2e.big.big_source import forest, write
from support.ctl_mesh import Account, CtlMesh

LARGEST_RECORD = 1_000_000
"""Bytes of a message that a broker accepts by default."""
DAEMONS = ("request", "scheduler", "collector", "info", "runner-1")


@pytest.fixture(scope="module")
def built(sizes, directory, new_broker, own_cache):
    """The mesh, and what a request for everything came to."""
    write(directory / "forest", *forest(sizes.units))
    settings = {"CB_RUNNER__SIMULATE": "0.05", "CB_REQUEST__BUILD_ON_PUSH": "0"}
    mesh = CtlMesh(
        directory / "many", own_cache, broker=new_broker(), runners=sizes.runners, account=Account(), settings=settings
    )
    mesh.up(forest=directory / "forest")
    try:
        yield mesh, mesh.request("--all")
    finally:
        mesh.down()


def test_every_unit_is_built_once_and_every_runner_had_work(built, sizes):
    mesh, answer = built
    assert Counter(job["outcome"] for job in answer["jobs"]) == {"success": sizes.units}, mesh.logs()
    assert {job["attempt"] for job in answer["jobs"]} == {1}
    work = Counter(job["runner_id"] for job in answer["jobs"])
    took = answer["request"]["finished_at"] - answer["request"]["accepted_at"]
    print(f"{sizes.units} units: {took:.1f} s; by runner {sorted(work.values())}")
    assert len(work) == sizes.runners


def test_every_package_is_in_the_repository(built, sizes):
    mesh, _ = built
    [repository] = mesh.rows("repositories")
    url = f"{repository['url']}/dists/bookworm/main/binary-amd64/Packages"
    packages = urllib.request.urlopen(url).read().decode()
    assert packages.count("Package: ") == sizes.units
    files = [line.split(": ")[1] for line in packages.splitlines() if line.startswith("Filename: ")]
    assert all(urllib.request.urlopen(f"{repository['url']}/{file}").status == 200 for file in files)


def test_a_second_request_for_everything_is_answered_from_what_is_built(built, sizes):
    mesh, _ = built
    again = mesh.request("--all")
    assert Counter(job["outcome"] for job in again["jobs"]) == {"reused": sizes.units}


def test_no_message_is_larger_than_any_broker_takes(built):
    """The largest of each topic, as it lies on the broker."""
    mesh, _ = built
    largest = dict(_largest_records(BrokerSettings(bootstrap=mesh.bootstrap)))
    print({topic: size for topic, size in sorted(largest.items()) if size > 10_000})
    assert largest["cb.result"] > 0
    assert max(largest.values()) < LARGEST_RECORD, largest


def _largest_records(settings):
    broker = KafkaBroker(settings)
    for topic in TOPICS:
        marks = broker.watermarks([topic.name])
        consumer = broker.consumer({partition: low for partition, (low, _) in marks.items()})
        size = 0
        while not consumer.is_at_end():
            size = max([size, *(len(record.value or b"") for record in consumer.poll(500, 1.0))])
        consumer.close()
        yield topic.name, size


def test_status_and_lists_stay_quick_to_ask(built, sizes):
    mesh, answer = built
    name = answer["request"]["request_id"]
    assert len(mesh.rows("jobs", "--request", name, "--most", "1000")) == sizes.units
    assert len(mesh.rows("units")) == sizes.units
    assert mesh.ok("status").out
    assert f"{sizes.units} success" in mesh.ok("watch", name).out


def test_no_daemon_grows_large(built):
    mesh, _ = built
    used = largest_of(mesh, *DAEMONS)
    print(f"MB at most: {used}")
    assert max(used.values()) < FLAT
