"""Removes control sequences from text before it is printed on a terminal.

Names, messages and logs come from repositories and builds, which may belong to anyone. A terminal executes the control
sequences in its input: it moves the cursor, changes the title, or sends text as if a user had typed it. `sanitize` is
for all text in lines and tables; `LogSanitizer` is for logs, which keep their colours.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 except tab and newline, delete, C1, changes of the writing direction, halves of surrogate pairs."""
_SEQUENCE = re.compile(
    r"\x1b\[[0-9;:]*m"  # colours: kept
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|[\x1b](?:[\]PX^_])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|[\x1b][ -/]*[0-~]"
    "|[\x00-\x08\x0b\x0c\x0e-\x1a\x1b-\x1f\x7f-\x9f]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\x9c]*\x1b?|[ -/]*)?$")
_MAX_UNFINISHED = 256
"""Characters. A longer unfinished sequence is taken for text, so that it cannot hold back the rest of the log."""
_COLOURS_OFF = b"\x1b[0m"


def sanitize(text: str) -> str:
    """Replaces each control character by its escape: `\\x1b`. Tabs and line ends stay."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "backslashreplace").decode(), text)


def sanitize_all(data: Any) -> Any:
    """Returns an answer with all of its text sanitized, keys included."""
    if isinstance(data, str):
        return sanitize(data)
    if isinstance(data, dict):
        return {sanitize_all(key): sanitize_all(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [sanitize_all(value) for value in data]
    return data


def escaped(json_text: str) -> str:
    """Returns equal JSON in which no character is a control character for a terminal."""
    return re.sub("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda found: f"\\u{ord(found[0]):04x}", json_text)


class LogSanitizer:
    """A filter for a log that arrives in chunks.

    Keeps colours and carriage returns, drops every other control sequence, and switches colours off at the end."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._is_coloured = False

    def feed(self, chunk: bytes) -> bytes:
        """Returns the printable part; an unfinished sequence is held back until the next chunk."""
        text = self._rest + self._decoder.decode(chunk)
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished and len(text) - unfinished.start() < _MAX_UNFINISHED else len(text)
        text, self._rest = text[:end], text[end:]
        return _SEQUENCE.sub(self._keep_colour, text).encode(errors="backslashreplace")

    def end(self) -> bytes:
        """Returns what ends the log: colours off, if they are on. Drops a sequence that has not ended."""
        self._rest = ""
        return _COLOURS_OFF if self._is_coloured else b""

    def _keep_colour(self, found: re.Match[str]) -> str:
        if not _COLOUR.fullmatch(found[0]):
            return ""
        self._is_coloured = found[0] not in ("\x1b[m", "\x1b[0m")
        return found[0]
