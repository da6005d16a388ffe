"""Text from anywhere, made harmless for a terminal.

Names, messages and logs are written by whoever owns a repository or a build; a terminal obeys what it reads: it moves
the cursor, changes its title, answers as if somebody had typed. `plain` is for everything that we show in lines and
tables, `Log` for logs, which keep their colours.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 but tab and newline, delete, C1, what turns the direction of writing, halves of surrogate pairs."""
_SEQUENCE = re.compile(
    r"\x1b\[[0-9;:]*m"  # colours: kept
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|[\x1b](?:[\]PX^_])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|[\x1b][ -/]*[0-~]"
    "|[\x00-\x08\x0b\x0c\x0e-\x1a\x1b-\x1f\x7f-\x9f]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\x9c]*\x1b?|[ -/]*)?$")
_MOST_UNFINISHED = 256
_COLOURS_OFF = b"\x1b[0m"


def sanitize(text: str) -> str:
    """One control character becomes its name: `\\x1b`. Tabs and line ends stay."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "backslashreplace").decode(), text)


def sanitize_all(data: Any) -> Any:
    """The same for all text in an answer."""
    if isinstance(data, str):
        return sanitize(data)
    if isinstance(data, dict):
        return {sanitize_all(key): sanitize_all(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [sanitize_all(value) for value in data]
    return data


def escaped(json_text: str) -> str:
    """JSON that says the same, in which no character is a control character to a terminal."""
    return re.sub("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda found: f"\\u{ord(found[0]):04x}", json_text)


class Log:
    """A log piece by piece: colours and carriage returns stay, every other sequence is left out, and colours end
    where the log does."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._is_coloured = False

    def feed(self, piece: bytes) -> bytes:
        text = self._rest + self._decoder.decode(piece)
        unfinished = _UNFINISHED.search(text)
        cut = unfinished.start() if unfinished and len(text) - unfinished.start() < _MOST_UNFINISHED else len(text)
        text, self._rest = text[:cut], text[cut:]
        return _SEQUENCE.sub(self._kept, text).encode(errors="backslashreplace")

    def end(self) -> bytes:
        """What is still to be written: a sequence that never ended is left out."""
        self._rest = ""
        return _COLOURS_OFF if self._is_coloured else b""

    def _kept(self, found: re.Match[str]) -> str:
        if not _COLOUR.fullmatch(found[0]):
            return ""
        self._is_coloured = found[0] not in ("\x1b[m", "\x1b[0m")
        return found[0]
