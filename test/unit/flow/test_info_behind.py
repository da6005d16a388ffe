"""Units behind their branch: their newest published build is of another tree than the head."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.info import branch_state
from cloud_builder.flow.info.projection import apply_event
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from support.factories import deb
from support.info_history import NEW, OLD, TARGET, InfoHistory, revised, unit


def finished(job: str, outcome: Outcome, tree: str, **more: Any) -> e.JobFinished:
    fields = {"request_id": job.partition(".")[0], "source": "demo", "revision": NEW, "unit": "packages/lib"}
    fields |= {"target": TARGET, "at": 10.0, "publish": True, "sequence": 1}
    return e.JobFinished(job_id=job, outcome=outcome, tree=tree, **{**fields, **more})


BUILT = finished("a.1", Outcome.SUCCESS, "old", artifacts=(deb("lib", "1.0"),))
FAILED = finished("b.1", Outcome.FAILURE, "new", sequence=2, message="no", at=20.0)
OLD_HEAD, HEAD = revised(OLD, unit("lib", "old")), revised(NEW, unit("lib", "new"))


def rows(*payloads: e.Payload) -> list[dict[str, Any]]:
    return [row for _, row in branch_state.rows(InfoHistory().apply(*payloads).state)]


def test_unit_is_current_until_the_branch_moves_on() -> None:
    assert rows(OLD_HEAD, BUILT) == []
    [row] = rows(OLD_HEAD, BUILT, HEAD)
    assert (row["unit"], row["target"], row["versions"], row["outcome"]) == (
        "packages/lib", TARGET.name, ["1.0"], "success",
    )  # fmt: skip


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.CANCELED])
def test_unit_is_behind_after_a_failure_and_current_after_a_success(outcome: Outcome) -> None:
    failed = FAILED.model_copy(update={"outcome": outcome})
    [row] = rows(OLD_HEAD, BUILT, HEAD, failed)
    assert (row["state"], row["outcome"], row["job_id"], row["message"]) == ("behind", outcome, "b.1", "no")
    assert rows(OLD_HEAD, BUILT, HEAD, failed, finished("c.1", Outcome.SUCCESS, "new", sequence=3)) == []


def test_unit_that_was_never_built_is_behind_once_a_job_has_failed() -> None:
    assert rows(HEAD) == []
    [row] = rows(HEAD, FAILED)
    assert (row["state"], row["versions"]) == ("never", [])


def test_build_that_is_not_published_does_not_count() -> None:
    other = finished("c.1", Outcome.SUCCESS, "new", publish=False, sequence=3)
    assert len(rows(OLD_HEAD, BUILT, HEAD, other)) == 1


def test_order_of_topics_does_not_matter() -> None:
    def documents(order: tuple[e.Payload, ...]) -> list[dict[str, Any]]:
        state = MemoryState()
        for payload in order:
            apply_event(payload, state)
        return [row for _, row in branch_state.rows(state)]

    expected = documents((OLD_HEAD, HEAD, BUILT, FAILED))
    mixed = [
        order
        for order in itertools.permutations((OLD_HEAD, HEAD, BUILT, FAILED))
        if order.index(OLD_HEAD) < order.index(HEAD) and order.index(BUILT) < order.index(FAILED)
    ]
    assert expected and all(documents(order) == expected for order in mixed)


def test_unit_that_is_gone_is_not_behind() -> None:
    assert rows(OLD_HEAD, BUILT, HEAD, revised("c" * 40, unit("other", "t"))) == []
    assert rows(OLD_HEAD, BUILT, HEAD, e.SourceRemoved(source="demo")) == []
