"""Durations, sizes and long lists in the form that people read."""

from __future__ import annotations

import pytest

from cloud_builder.model.text import compact_duration, duration, first_few, first_few_lines, first_line, size


@pytest.mark.parametrize(
    ("seconds", "sentence", "column"),
    [
        (-3, "0 s", "0s"),
        (0.4, "0 s", "0s"),
        (59, "59 s", "59s"),
        (60, "1 min", "1m00s"),
        (61, "1 min 1 s", "1m01s"),
        (3660, "1 h 1 min", "1h01m"),
        (7200, "2 h", "2h00m"),
        (86400, "1 d", "24h00m"),
        (97200, "1 d 3 h", "27h00m"),
    ],
)
def test_duration_has_a_form_for_sentences_and_for_columns(seconds: float, sentence: str, column: str) -> None:
    assert (duration(seconds), compact_duration(seconds)) == (sentence, column)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (5, "5 B"),
        (1023, "1023 B"),
        (2048, "2 KiB"),
        (1536, "1.5 KiB"),
        (1000 * 1024, "1000 KiB"),
        (5 * 1024**2, "5 MiB"),
        (3 * 1024**3, "3 GiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_size_has_a_binary_unit(count: int, text: str) -> None:
    assert size(count) == text


def test_first_few_counts_the_names_that_it_leaves_out() -> None:
    assert first_few([]) == ""
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first_few(["a", "b"], 2, total=9) == "a, b and 7 more"


def test_first_few_lines_counts_the_lines_that_it_leaves_out() -> None:
    assert first_few_lines(["a", "b"], 2) == ("a", "b")
    assert first_few_lines(["a", "b", "c", "d"], 2) == ("a", "b", "and 2 more")
    assert first_few_lines(["a", "b", "c"], 2, "slots") == ("a", "b", "and 1 more slots")


@pytest.mark.parametrize(("text", "line"), [(None, ""), ("", ""), ("a\nb", "a"), ("a", "a")])
def test_first_line_is_empty_for_no_text(text: str | None, line: str) -> None:
    assert first_line(text) == line
