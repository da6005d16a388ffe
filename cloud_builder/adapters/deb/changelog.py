"""Reads the newest entry of debian/changelog as dpkg-parsechangelog does.

Source, version and date decide names and times in every package that is built, and dpkg-parsechangelog decides them in
the build. It warns about what it does not know and goes on (Dpkg::Changelog::Debian); so does this reader. Two things
that dpkg only warns about are errors here: an entry without a version, and one without a date, because the packages
would then contain the time of the build.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from io import StringIO

from .stanzas import SPACES

CHANGELOG = "debian/changelog"
_HEADING = re.compile(r"(\w[-+0-9a-z.]*) \(([^() \t]+)\)((?:\s+[-+0-9a-z.]+)+);.*", re.IGNORECASE | re.ASCII)
_TRAILER = re.compile(
    r" -- .* <.*>  ?"
    r"(?:(?P<weekday>\w+),\s*)?(?P<day>\d{1,2})\s+(?P<month>\w+)\s+(?P<year>\d{4})\s+"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)\s+(?P<zone>[-+]\d{4})\s*",
    re.ASCII,
)
_CHANGE = re.compile(r"\s{2,}\S", re.ASCII)
_IGNORED = re.compile(r"\$\w+:.*\$|# |/\*.*\*/", re.ASCII)
_END = re.compile(r"(?:;;\s*)?Local variables:|vim:", re.ASCII | re.IGNORECASE)
_OLD_FORMAT = re.compile(
    r"\w+\s+\w+\s+\d{1,2} \d{1,2}:\d{1,2}:\d{1,2}\s+[\w\s]*\d{4}\s+.*\s+[<(].*[)>]"
    r"|\w+\s+\w+\s+\d{1,2},?\s*\d{4}\s+.*\s+[<(].*[)>]"
    r"|\w[-+0-9a-z.]* \([^() \t]+\);?"
    r"|[\w.+-]+[- ]\S+ Debian \S+"
    r"|Changes from version .* to .*:"
    r"|Changes for [\w.+-]+-[\w.+-]+:?\s*$"
    r"|Old Changelog:\s*$"
    r"|(?:\d+:)?\w[\w.+~-]*:?\s*$",
    re.ASCII | re.IGNORECASE,
)
"""Formats before 1997. dpkg reads nothing behind such a line."""
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_VERSION = re.compile(r"(?:[0-9]+:(?=.)|(?![^:]*:.))[0-9](?:[A-Za-z0-9.+:~-]*[A-Za-z0-9.+:~])?")
"""What is before the first colon is the epoch, if there is anything behind it; a revision is not empty."""
_MAX_VERSION_LENGTH = 200


@dataclass(frozen=True)
class ChangelogEntry:
    """The newest entry. `epoch`: the time of its trailer, in seconds since the epoch; None: it has no date.

    `version` is empty when it is not a version. `line`, `trailer_line`: where heading and trailer are, from 1; 0: there
    is none. A trailer that cannot be read has its line, too."""

    source: str
    version: str
    epoch: int | None
    line: int
    trailer_line: int


def newest_entry(text: str) -> ChangelogEntry | None:
    """Returns the newest entry, whose heading and trailer need not be valid; None: no heading comes first."""
    heading: re.Match[str] | None = None
    epoch, line, trailer_line, is_closed = None, 0, 0, False
    for number, written in enumerate(StringIO(text, newline="\n"), 1):
        content = written.removesuffix("\n")
        if found := _HEADING.fullmatch(content):
            if heading is not None:
                break
            heading, line = found, number
        elif _IGNORED.match(content):
            continue
        elif _END.match(content) or _OLD_FORMAT.match(content):
            break
        elif trailer := _TRAILER.fullmatch(content):
            if heading is None:
                return None
            seconds = _seconds(trailer)
            epoch = epoch if seconds is None else seconds  # as dpkg: a later trailer counts, unless it has no date
            trailer_line, is_closed = number, True
        elif content.startswith(" --") and heading is not None and epoch is None:
            trailer_line = number
        elif _is_text(content):
            if heading is None or (is_closed and _CHANGE.match(content)):
                break
            is_closed = False
    if heading is None:
        return None
    version = heading[2] if is_version(heading[2]) else ""
    return ChangelogEntry(heading[1], version, epoch, line, trailer_line)


def _is_text(line: str) -> bool:
    """Returns whether dpkg takes a line that begins with a space for a part of the entry, known to it or not."""
    return line[:1] in tuple(SPACES) and not line.startswith(" --") and bool(line.strip(SPACES))


def is_version(version: str) -> bool:
    """Returns whether dpkg takes the text for a version (Debian policy 5.6.12, Dpkg::Version)."""
    found = _VERSION.fullmatch(version)
    return found is not None and len(version) <= _MAX_VERSION_LENGTH


def _seconds(trailer: re.Match[str]) -> int | None:
    """Returns the time of a trailer; None when strptime of Time::Piece does not read it, which ignores the weekday."""
    month = trailer["month"].lower()
    day, hour, minute, second = (int(trailer[part]) for part in ("day", "hour", "minute", "second"))
    year, zone = int(trailer["year"]), int(trailer["zone"])
    if month not in _MONTHS or day > 31 or hour > 23 or minute > 59 or second > 59 or year < 1900:
        return None
    offset = (abs(zone) // 100 * 60 + abs(zone) % 100) * (-60 if zone < 0 else 60)
    return calendar.timegm((year, _MONTHS.index(month) + 1, day, hour, minute, second)) - offset
