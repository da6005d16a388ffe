"""`until`, by which all tests wait: its result, and its message when the limit has passed."""

from __future__ import annotations

import pytest

from support.waiting import until


def test_until_returns_the_first_true_value():
    answers = iter([None, 0, [], "ready", "later"])
    assert until(lambda: next(answers), "an answer") == "ready"


@pytest.mark.parametrize("what", ["the moon", lambda: "the moon"])
def test_until_names_the_condition_and_its_last_value_on_expiry(what):
    with pytest.raises(AssertionError, match=r"waited 0 s for the moon; last seen: \[\]"):
        until(list, what, limit=0)


def test_until_checks_once_more_after_the_limit():
    answers = iter([False, True])
    assert until(lambda: next(answers), "the second answer", limit=0.001)


def test_until_lets_errors_of_the_condition_pass():
    with pytest.raises(ZeroDivisionError):
        until(lambda: 1 // 0, "nothing")
