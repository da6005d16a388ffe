"""Selects the lines of a log that are shown: one step, the last lines, the output of apt and KIWI as one line.

A runner writes `==> STEP` before each step, and `==> OUTCOME` at the end (builder/package.py).
Input: the log in chunks.
Output: the lines to print, as soon as it is known that they are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import did_you_mean

_STEP = b"==> "
_OUTCOMES = (b"success", b"failure", b"error", b"canceled")
_WITH_APT = (b"root", b"dependencies", b"test")
"""Steps in which apt or KIWI installs packages."""
_MIN_COLLAPSED = 4
"""Lines of apt and KIWI in a row; fewer are shown."""
_APT = re.compile(
    rb"^(Get|Ign|Hit):\d+ |^Err:\d+ file:/|^  Method gave a blank filename|^Fetched \d|^Reading package lists"
    rb"|^Reading state information|^Building dependency tree|^The following (NEW|additional) packages will be"
    rb"|^Note, (selecting|using) |^\d+ upgraded, \d+ newly installed|^Need to get |^After this operation"
    rb"|^Selecting previously unselected|^\(Reading database|^Preparing to unpack|^Unpacking |^Setting up "
    rb"|^Processing triggers for |^debconf: delaying package|^Adding system |^update-alternatives: using "
    rb"|^\[ (INFO|DEBUG) +\]: "
    rb"|^Created symlink |^invoke-rc\.d: |^Extracting templates from packages|^Preconfiguring packages"
)
_NAMES = re.compile(rb"^  [a-z0-9][a-z0-9+.:-]*( [a-z0-9][a-z0-9+.:-]*)*$")
"""A line of a list of packages, below a heading of apt."""


class LogView:
    """A filter of a log.

    step           only this step; empty: all
    tail           only so many last lines; 0: all
    collapse_apt   lines of apt and KIWI in a row are shown as one
    """

    def __init__(self, step: str = "", tail: int = 0, *, collapse_apt: bool = True) -> None:
        self._step, self._collapses_apt = step.encode(), collapse_apt
        self._steps: list[bytes] = []
        self._rest = b""
        self._apt: list[bytes] = []
        self._held: deque[bytes] | None = deque(maxlen=tail) if tail else None

    def feed(self, chunk: bytes) -> bytes:
        """Returns the lines that are shown at once; an unfinished line is held back."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return self._shown(line + b"\n" for line in lines)

    def catch_up(self) -> bytes:
        """Returns the last lines so far; all further lines are shown as they come."""
        held, self._held = self._held or (), None
        return b"".join(held)

    def end(self) -> bytes:
        """Returns the rest."""
        rest, self._rest = self._rest, b""
        shown = self._shown([rest] if rest else ())
        return shown + self._hold(self._flush_apt()) + self.catch_up()

    def check_step(self) -> None:
        """Raises Rejected with the nearest step when the log does not have the step."""
        if self._step and self._step not in self._steps:
            names = [step.decode(errors="replace") for step in self._steps]
            name = self._step.decode()
            hint = did_you_mean(name, names) or "The log is empty so far."
            raise Rejected(f"the log has no step {name!r}", code="unknown-step", hint=hint)

    def _shown(self, lines: Iterable[bytes]) -> bytes:
        return b"".join(self._hold(self._collapsed(line)) for line in lines if self._is_in_step(line))

    def _is_in_step(self, line: bytes) -> bool:
        if line.startswith(_STEP):
            name = line[len(_STEP) :].strip()
            if name.partition(b":")[0] not in _OUTCOMES:
                self._steps.append(name)
            elif self._step:
                return False
        return not self._step or bool(self._steps and self._steps[-1] == self._step)

    def _collapsed(self, line: bytes) -> Iterator[bytes]:
        if self._collapses_apt and self._is_apt(line):
            self._apt.append(line)
            return
        yield from self._flush_apt()
        yield line

    def _is_apt(self, line: bytes) -> bool:
        if not self._steps or self._steps[-1] not in _WITH_APT:
            return False
        return bool(_APT.match(line)) or bool(self._apt and _NAMES.match(line.rstrip()))

    def _flush_apt(self) -> Iterator[bytes]:
        lines, self._apt = self._apt, []
        if len(lines) < _MIN_COLLAPSED:
            yield from lines
        else:
            yield f"  … {len(lines)} lines of apt and KIWI (--full shows them)\n".encode()

    def _hold(self, lines: Iterable[bytes]) -> bytes:
        if self._held is None:
            return b"".join(lines)
        self._held.extend(lines)
        return b""
