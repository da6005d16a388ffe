"""What a machine lacks: facts come in, findings go out, each with the thing, the cause and the command that mends it.

facts.py         what probes have seen
finding.py       what a check has to say: an error is what nothing works with; a warning what works worse, or not
                 for long
machine.py       Python, programs, the sandbox, limits
places.py        room, and file systems
key.py           the signing key
broker.py        the broker and its topics
surroundings.py  the port, the clock
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .broker import the_broker
from .facts import BrokerFacts, DirectoryFacts, Facts, KeyFacts, ProbeError, TopicFacts
from .filesystems import GIB, places
from .finding import Finding, Level, errors
from .key import signing_key
from .machine import check_limits, check_programs, check_python, check_sandbox
from .port_and_clock import clock, port

__all__ = [
    "GIB",
    "BrokerFacts",
    "DirectoryFacts",
    "Facts",
    "Finding",
    "KeyFacts",
    "Level",
    "ProbeError",
    "TopicFacts",
    "errors",
    "judge",
]

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    check_python,
    check_programs,
    check_sandbox,
    check_limits,
    places,
    signing_key,
    port,
    the_broker,
    clock,
)
"""In the order in which someone would mend what they find."""


def judge(facts: Facts) -> tuple[Finding, ...]:
    """All findings, in the order of the checks."""
    return tuple(finding for check in CHECKS for finding in check(facts))
