"""Ranks the lines of a build log by how well they explain a failure: a table of patterns."""

from __future__ import annotations

import re

_TABLE: tuple[tuple[int, str], ...] = (
    # dpkg-source names the patch that does not apply.
    (10, r"^dpkg-source: error: (debian/patches/\S+ does not apply|.*\bpatch .* < \S*debian/patches/)"),
    # A compiler, linker or interpreter names the place in the code and the error.
    (9, r"^\S+:\d+(:\d+)?: (fatal )?error: "),
    (9, r"(/ld|collect2|ld\.\S+): .*(undefined reference|cannot find|multiple definition)"),
    (9, r": undefined reference to "),
    (9, r"^(error(\[E\d+\])?: |\S+Error: |\S*Exception: |E {3,}\S)"),
    (9, r"^CMake Error|^configure: error: |^\S*meson\.build:\d+:\d+: ERROR: "),
    (9, r"^patch(ing file .*)?: .*FAILED|^Hunk #\d+ FAILED|^\d+ out of \d+ hunks? FAILED"),
    # A sanitizer of the compiler names what the program did, or why the sanitizer itself cannot run.
    (9, r"^==\d+==(ERROR: \w+Sanitizer|LeakSanitizer has encountered)|^(WARNING|FATAL): \w+Sanitizer: "),
    (9, r"^\S+:\d+:\d+: runtime error: "),
    # A test names the expectation that does not hold.
    (8, r"^\s*(FAIL|FAILED|not ok|XPASS)\b[: ]"),
    (8, r"^\S+:\d+: .*[Aa]ssert(ion)?.* failed|Assertion .* failed"),
    (8, r"Segmentation fault|core dumped|Bus error"),
    (8, r"No space left on device|Cannot allocate memory|Disk quota exceeded"),
    (8, r"(Could not resolve|Temporary failure in name resolution|Network is unreachable)"),
    # A packaging tool names what is missing.
    (7, r"^dpkg-(?!buildpackage:)[a-z]+: error: "),
    (6, r"^(dh|dh_\w+|debian/rules)(: error: |:\d+: )"),
    (6, r"^dh: .*(unable|cannot|error)|^dh_\w+: .*(missing|cannot find|unknown|failed)"),
    (6, r"(: command not found|: not found|Permission denied|No such file or directory)$"),
    # A program reports that another program failed.
    (3, r"^make(\[\d+\])?: \*\*\* "),
    (2, r"^dpkg-buildpackage: error: |^(tar|bash|unpack|build): "),
    (1, r"\berror\b"),
)
_PATTERNS = tuple((rank, re.compile(pattern)) for rank, pattern in _TABLE)
_HARMLESS = re.compile(
    r"\(ignored\)|-W(no-)?error|checking |: warning: |^dpkg-\w+: (warning|info): |^ *(gcc|cc|g\+\+) "
)


def error_rank(line: str) -> int:
    """Returns 0 for a line without a cause, up to 10 for a patch that does not apply."""
    if _HARMLESS.search(line):
        return 0
    return next((rank for rank, pattern in _PATTERNS if pattern.search(line)), 0)
