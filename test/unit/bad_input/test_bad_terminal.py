"""Text of builds and units on the terminal: it is shown without control sequences."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.cli.terminal import LogSanitizer, escaped, sanitize, sanitize_all

TITLE, CLEAR, RED, OFF = "\x1b]0;gone\x07", "\x1b[2J", "\x1b[31m", "\x1b[0m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a{TITLE}b", r"a\x1b]0;gone\x07b"),
        (f"{RED}red", r"\x1b[31mred"),
        ("c1 \x9b31m", r"c1 \x9b31m"),
        ("bell\a back\b cr\r nul\0", r"bell\x07 back\x08 cr\r nul\x00"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("caf\udce9", r"caf\udce9"),
        ("two\nlines\tand a tab, größe", "two\nlines\tand a tab, größe"),
    ],
)
def test_control_characters_of_names_and_messages_are_escaped(text, shown):
    assert sanitize(text) == shown
    assert sanitize_all({"rows": [{text: text}], "n": 1}) == {"rows": [{shown: shown}], "n": 1}


@given(st.text())
def test_escaped_json_keeps_its_value_and_has_no_control_characters(text):
    body = escaped(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(body) == {"name": text}
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for char in body)


def shown_of(pieces: list[bytes]) -> bytes:
    log = LogSanitizer()
    return b"".join([*map(log.feed, pieces), log.end()])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{RED}error{OFF} on\n", f"{RED}error{OFF} on\n"),
        (f"a{TITLE}b{CLEAR}c\x1b[10;1Hd\x1bcE\x1bP1$r\x1b\\f", "abcdEf"),
        ("a\x9b2Jb\x9dc\x07", "a2Jbc"),
        ("10%\r20%\r\n\a\b\0", "10%\r20%\r\n"),
        (f"{RED}never ends", f"{RED}never ends{OFF}"),
        ("half a sequence \x1b[3", "half a sequence "),
        ("größe", "größe"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_log_keeps_only_its_colours_in_pieces_of_any_size(text, shown, size):
    data = text.encode()
    assert shown_of([data[at : at + size] for at in range(0, len(data), size)]).decode() == shown


@given(st.lists(st.binary()))
def test_log_has_no_control_sequences_but_colours(pieces):
    text = shown_of(pieces).decode()
    left = text.replace("\x1b[0m", "")
    for found in left.split("\x1b[")[1:]:
        assert found.lstrip("0123456789;:").startswith("m")
    assert "\x1b" not in left.replace("\x1b[", "")
    assert not any("\x7f" <= char <= "\x9f" or char in "\0\a\b\v\f" for char in text)
