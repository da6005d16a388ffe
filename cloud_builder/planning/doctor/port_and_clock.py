"""The port that repositories are served at, and the clock beside those of the others."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts
from .finding import Finding, Level, ok

LEAST_YEAR = 1_735_689_600.0
"""2025-01-01 in seconds since the epoch: a clock before that was never set."""
MOST_SKEW = 30.0
WORST_SKEW = 600.0


def port(facts: Facts) -> Iterator[Finding]:
    if facts.port is None:
        return
    where, refusal = facts.port
    if refusal is None:
        yield ok("port", f"repositories can be served at {where}")
    else:
        mend = refusal.hint or "choose another: cb-ctl up --port N, or the setting collector.port"
        yield Finding("port", Level.ERROR, f"repositories cannot be served at {where}: {refusal.message}", mend)


def clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.broker.ahead if facts.broker and facts.broker.ahead is not None else 0.0
    mend = "set the clock: timedatectl set-ntp true (apt-get install systemd-timesyncd), or date --set"
    if facts.now < LEAST_YEAR:
        yield Finding("clock", Level.ERROR, "this machine's clock is before 2025: it was never set", mend)
    elif ahead > MOST_SKEW:
        level = Level.ERROR if ahead > WORST_SKEW else Level.WARNING
        yield Finding("clock", level, f"messages on the broker are {ahead:.0f} s from the future of this clock", mend)
    else:
        yield ok("clock", "plausible")
