"""What a runner says it has at hand: the words that the scheduler makes of the same orders, the newest first."""

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
    return layer_cache_key(root(job), job.source, job.unit, (used.sha256 for used in job.dependencies))


@pytest.mark.parametrize(
    "job",
    [built(), built(repositories=None), built(dependencies=(A, B)), built(unit="p/other", source="other")],
    ids=["plain", "no repositories", "dependencies", "another unit"],
)
def test_the_words_are_those_that_the_scheduler_looks_for(job):
    footprint = CacheInventory(ROOTS, LAYERS)
    footprint.record(job)
    assert (footprint.sources, footprint.roots, footprint.layers) == ((job.source,), (root(job),), (layer(job),))


def test_without_a_build_root_only_the_source_is_at_hand():
    footprint = CacheInventory(ROOTS, LAYERS)
    footprint.record(built(buildroot=None))
    assert (footprint.sources, footprint.roots, footprint.layers) == (("s",), (), ())


def test_what_was_used_again_is_the_newest_and_told_once():
    footprint = CacheInventory(ROOTS, LAYERS)
    first, second = built(dependencies=(A, B)), built(buildroot="2" * 64, source="t")
    again = built(dependencies=(B, A))
    for job in (first, second, again):
        footprint.record(job)
        assert footprint.layers[0] == layer(job)
    assert footprint.sources == ("s", "t")
    assert footprint.roots == (root(first), root(second))
    assert footprint.layers == (layer(first), layer(second))


def test_the_oldest_is_forgotten_as_on_the_disk():
    footprint = CacheInventory(ROOTS, LAYERS)
    jobs = [built(buildroot=f"{number:064}", source=f"s{number}") for number in range(MAX_SOURCES + 5)]
    for job in jobs:
        footprint.record(job)
    jobs.reverse()
    assert footprint.sources == tuple(job.source for job in jobs[:MAX_SOURCES])
    assert footprint.roots == tuple(root(job) for job in jobs[:ROOTS])
    assert footprint.layers == tuple(layer(job) for job in jobs[:LAYERS])
