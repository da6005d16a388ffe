"""Tests of the live log, from the bytes of a build to the text that a reader gets: each piece is at its offset."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.info import livelog
from cloud_builder.flow.runner.livelog import PIECE_BYTES, LiveLog

CHARACTERS = "ü€𝄞".encode()


def as_shown(log: bytes) -> str:
    """Makes each byte that belongs to no character one question mark, so that offsets stay the same."""
    return re.sub("[\udc80-\udcff]", "?", log.decode("utf-8", "surrogateescape"))


printed = st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(b"\n"), max_size=20)


@given(printed, st.booleans())
def test_reader_gets_the_printed_text_byte_by_byte(pieces: list[bytes], early: bool) -> None:
    log, state = LiveLog(), MemoryState()
    with state.transaction():
        for piece in pieces:
            log.write(piece)
            for event in log.take("q.1", 1) if early else ():
                livelog.append(event, state)
        for event in log.flush("q.1", 1):
            livelog.append(event, state)
    whole = b"".join(pieces)
    chunk = livelog.read("q.1", 1, 0, state)
    assert (len(chunk.text.encode()), chunk.next) == (len(whole), len(whole))
    if not early:
        assert chunk.text == as_shown(whole)


def test_long_line_is_not_cut_within_a_character() -> None:
    log = LiveLog()
    log.write(b"x" * (PIECE_BYTES - 2) + CHARACTERS * 10_000)
    pieces = [*log.take("q.1", 1), *log.flush("q.1", 1)]
    assert "?" not in "".join(piece.text for piece in pieces)
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(piece.text for piece in pieces)
    assert all(piece.offset + len(piece.text.encode()) == following.offset for piece, following in pairwise(pieces))


def test_log_is_behind_when_more_than_one_piece_waits() -> None:
    log = LiveLog()
    log.write(b"x\n" * PIECE_BYTES)
    assert log.is_behind
    list(log.flush("q.1", 1))
    assert not log.is_behind
