"""A mistyped name finds its nearest valid one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.nearest import did_you_mean, nearest

UNITS = ["packages/hello", "packages/libgreet", "images/standard"]


@pytest.mark.parametrize(
    ("word", "names", "expected"),
    [
        ("packages/helo", UNITS, "packages/hello"),
        ("helo", UNITS, "packages/hello"),
        ("package/hello", UNITS, "packages/hello"),
        ("projects/packages/hello", UNITS, "packages/hello"),
        ("Main", ["main", "next"], "main"),
        ("mian", ["main", "next"], "main"),
        ("zzz", UNITS, None),
        ("x", [], None),
    ],
)
def test_nearest_finds_the_valid_name_of_a_mistyped_one(word: str, names: list[str], expected: str | None) -> None:
    assert nearest(word, names) == expected


def test_hint_names_the_nearest_else_the_known_ones() -> None:
    assert did_you_mean("helo", UNITS) == "Did you mean packages/hello?"
    assert did_you_mean("zzz", ["a", "b"]) == "Known: a, b."
    assert did_you_mean("zzz", [f"name{n:02}" for n in range(10)]).endswith("and 2 more.")
    assert did_you_mean("zzz", []) == ""


@given(st.text(), st.lists(st.text()))
def test_nearest_returns_one_of_the_names_or_none(word: str, names: list[str]) -> None:
    found = nearest(word, names)
    assert found is None or found in names
