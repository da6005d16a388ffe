"""Checks the port that repositories are served at, and this machine's clock against the other machines'."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts
from .finding import Finding, Level, ok

MIN_TIME = 1_735_689_600.0
"""2025-01-01 in seconds since the epoch: a clock before that was never set."""
MAX_SKEW = 30.0
"""Seconds: more is a warning."""
MAX_TOLERATED_SKEW = 600.0
"""Seconds: more is an error."""


def check_port(facts: Facts) -> Iterator[Finding]:
    if facts.port is None:
        return
    address, error = facts.port
    if error is None:
        yield ok("port", f"repositories can be served at {address}")
    else:
        fix = error.hint or "choose another port: cb-ctl up --port N, or the setting collector.port"
        yield Finding("port", Level.ERROR, f"repositories cannot be served at {address}: {error.message}", fix)


def check_clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.broker.ahead if facts.broker and facts.broker.ahead is not None else 0.0
    fix = "set the clock: timedatectl set-ntp true (apt-get install systemd-timesyncd), or date --set"
    if facts.now < MIN_TIME:
        yield Finding("clock", Level.ERROR, "this machine's clock is before 2025: it was never set", fix)
    elif ahead > MAX_SKEW:
        level = Level.ERROR if ahead > MAX_TOLERATED_SKEW else Level.WARNING
        yield Finding("clock", level, f"messages on the broker are {ahead:.0f} s ahead of this machine's clock", fix)
    else:
        yield ok("clock", "the time is plausible")
