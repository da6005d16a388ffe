"""A chain of libraries under random pushes, failures and late results: each snapshot can be installed as a whole."""

from __future__ import annotations

import pytest

from support.library_chain import Distribution, newest_packages

PUSHES = 30


def run(seed: int) -> Distribution:
    distribution = Distribution(seed)
    distribution.run(PUSHES)
    return distribution


@pytest.mark.parametrize("seed", range(40))
def test_each_snapshot_can_be_installed_and_every_change_arrives(seed: int) -> None:
    """Thirty pushes, a quarter of the builds fail; then a push whose builds succeed releases everything."""
    distribution = run(seed)
    distribution.failures = 0.0
    distribution.build_all()
    assert not distribution.decision.held
    assert not distribution.decision.kept
    published = {key[1]: distribution.published.get(key) for key in distribution.published}
    assert published == newest_packages(distribution.contents)


def test_random_runs_hold_builds_and_keep_packages() -> None:
    runs = [run(seed) for seed in range(5)]
    assert all(one.held and one.kept for one in runs)
