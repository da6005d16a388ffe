"""Stanzas of control files are read and written as by dpkg."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.deb.stanzas import BrokenStanza, dump, read_stanzas, without_signature

SEPARATORS = "\u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e"


def test_line_ends_with_a_line_feed_and_nothing_else() -> None:
    text = f"Aa: one {SEPARATORS} two\n three {SEPARATORS} four\nBb: \u2028\n"
    (stanza,) = read_stanzas(text)
    assert stanza["Aa"] == f"one {SEPARATORS} two\nthree {SEPARATORS} four"
    assert list(stanza) == ["Aa", "Bb"]
    assert dump(stanza) == text


def test_spaces_before_the_colon_comments_and_case_are_as_in_dpkg() -> None:
    first, second = read_stanzas("# x\n\nBuild-Depends : a,\n# comment\n\tb\r\n\n# between\n\nC:\n ..\n  d  \n .\n")
    assert first["build-depends"] == "a,\nb"
    assert (first.line("BUILD-DEPENDS"), second.line("C"), second.line("D")) == (3, 9, 0)
    assert second["c"] == "\n.\n d\n"
    assert dump(second) == "C:\n ..\n  d\n .\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [("A: b\nnonsense", 2), ("\n b", 2), ("A: b\nB c: d", 2), ("A: 1\na: 2", 2), ("-A: 1", 1), (": 1", 1)],
)
def test_line_that_is_no_field_has_its_number(text: str, line: int) -> None:
    with pytest.raises(BrokenStanza) as caught:
        read_stanzas(text)
    assert caught.value.line == line


def test_signature_is_left_out_and_lines_keep_their_numbers() -> None:
    begin, signature = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n",
        "\n-----BEGIN PGP SIGNATURE-----\n\niQ=\n",
    )
    (stanza,) = read_stanzas(without_signature(f"\n{begin}Source: a{signature}"))
    assert (dict(stanza), stanza.line("Source")) == ({"Source": "a"}, 5)
    assert without_signature("Source: a\n") == "Source: a\n"
