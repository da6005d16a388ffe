"""The live log from a build's bytes to what a reader is shown: each piece stands where it belongs."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.info import livelog
from cloud_builder.flow.runner.livelog import PIECE_BYTES, LiveLog

LETTERS = "ü€𝄞".encode()


def as_shown(log: bytes) -> str:
    """A byte that belongs to no letter is one question mark, so that places stay what they are."""
    return re.sub("[\udc80-\udcff]", "?", log.decode("utf-8", "surrogateescape"))


printed = st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(b"\n"), max_size=20)


@given(printed, st.booleans())
def test_a_reader_is_shown_what_was_printed_byte_by_byte(pieces: list[bytes], early: bool) -> None:
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


def test_no_letter_is_cut_in_two_by_a_long_line() -> None:
    log = LiveLog()
    log.write(b"x" * (PIECE_BYTES - 2) + LETTERS * 10_000)
    pieces = [*log.take("q.1", 1), *log.flush("q.1", 1)]
    assert "?" not in "".join(piece.text for piece in pieces)
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(piece.text for piece in pieces)
    assert all(one.offset + len(one.text.encode()) == other.offset for one, other in pairwise(pieces))


def test_it_says_when_more_waits_than_one_piece_holds() -> None:
    log = LiveLog()
    log.write(b"x\n" * PIECE_BYTES)
    assert log.is_behind
    list(log.flush("q.1", 1))
    assert not log.is_behind
