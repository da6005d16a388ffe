"""Splitting into parts that fit into a message; job ids."""

from __future__ import annotations

import pytest

from cloud_builder.model.ids import RequestId, job_number, new_job_id, request_of
from cloud_builder.model.parts import MAX_PART_BYTES, split
from cloud_builder.model.unit import Problem


def problems(*sizes: int) -> list[Problem]:
    return [Problem(path=f"p{number}", message="x" * size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "max_entries", "lengths"),
    [
        pytest.param((), None, [], id="nothing"),
        pytest.param((1, 1, 1), None, [3], id="all fit"),
        pytest.param((1, 1, 1), 2, [2, 1], id="the number of entries is limited"),
        pytest.param((1, MAX_PART_BYTES, 1), None, [1, 1, 1], id="a large entry is a part of its own"),
        pytest.param((MAX_PART_BYTES // 2,) * 3, None, [1, 1, 1], id="two that do not fit together"),
    ],
)
def test_entries_are_split_into_parts_in_order(
    sizes: tuple[int, ...], max_entries: int | None, lengths: list[int]
) -> None:
    entries = problems(*sizes)
    parts = [list(part) for part in split(entries, max_entries)]
    assert [len(part) for part in parts] == lengths
    assert [entry for part in parts for entry in part] == entries


@pytest.mark.parametrize(("job", "number"), [("r-1.7", 7), ("a.b.12", 12), ("r-1", 0), ("", 0), ("r.x", 0)])
def test_job_number_is_read_from_the_job_id(job: str, number: int) -> None:
    assert job_number(job) == number


def test_request_id_is_read_from_the_job_id() -> None:
    assert request_of(new_job_id(RequestId("a.b"), 3)) == "a.b"
