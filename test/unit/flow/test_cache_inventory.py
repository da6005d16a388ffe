"""Tests of the cache inventory: it has the keys that the scheduler computes for the same assignments, newest first."""

from __future__ import annotations

import pytest

from cloud_builder.flow.runner.cache_inventory import MAX_SOURCES, CacheInventory
from cloud_builder.planning.schedule.locality import layer_cache_key, root_cache_key
from support.factories import assignment, deb

ROOTS, LAYERS = 4, 24
A, B = deb("a"), deb("b")


def built(**changes):
    return assignment().model_copy(update={"buildroot": "0" * 64, "repositories": "1" * 64, **changes})


def root(job):
    return root_cache_key(job.buildroot, job.target.name, job.repositories or "")


def layer(job):
    return layer_cache_key(root(job), job.source, job.unit, (artifact.sha256 for artifact in job.dependencies))


@pytest.mark.parametrize(
    "job",
    [built(), built(repositories=None), built(dependencies=(A, B)), built(unit="p/other", source="other")],
    ids=["plain", "no repositories", "dependencies", "another unit"],
)
def test_keys_are_those_that_the_scheduler_computes(job):
    inventory = CacheInventory(ROOTS, LAYERS)
    inventory.record(job)
    assert (inventory.sources, inventory.roots, inventory.layers) == ((job.source,), (root(job),), (layer(job),))


def test_assignment_without_a_build_root_adds_only_its_source():
    inventory = CacheInventory(ROOTS, LAYERS)
    inventory.record(built(buildroot=None))
    assert (inventory.sources, inventory.roots, inventory.layers) == (("s",), (), ())


def test_entry_used_again_becomes_the_newest_and_is_listed_once():
    inventory = CacheInventory(ROOTS, LAYERS)
    first, second = built(dependencies=(A, B)), built(buildroot="2" * 64, source="t")
    again = built(dependencies=(B, A))
    for job in (first, second, again):
        inventory.record(job)
        assert inventory.layers[0] == layer(job)
    assert inventory.sources == ("s", "t")
    assert inventory.roots == (root(first), root(second))
    assert inventory.layers == (layer(first), layer(second))


def test_oldest_entries_are_evicted_as_on_disk():
    inventory = CacheInventory(ROOTS, LAYERS)
    jobs = [built(buildroot=f"{number:064}", source=f"s{number}") for number in range(MAX_SOURCES + 5)]
    for job in jobs:
        inventory.record(job)
    jobs.reverse()
    assert inventory.sources == tuple(job.source for job in jobs[:MAX_SOURCES])
    assert inventory.roots == tuple(root(job) for job in jobs[:ROOTS])
    assert inventory.layers == tuple(layer(job) for job in jobs[:LAYERS])
