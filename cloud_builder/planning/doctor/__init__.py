"""The checks of `cb-ctl doctor`: facts about a machine and its broker → findings, each with the command that fixes it.

    facts.py            what the probes found
    finding.py          a check's result: ok, warning (works worse, or not for long), error (does not work)
    machine.py          Python, programs, the sandbox, resource limits
    filesystems.py      free space, and file systems that builds can use
    caches.py           sizes of caches
    key.py              the signing key
    broker.py           the broker and its topics
    port_and_clock.py   the port for repositories, the clock
    repositories.py     builds that are held back

Must not: read the machine. The probes are in cloud_builder/adapters/machine and adapters/kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .broker import check_broker
from .caches import check_caches
from .facts import BrokerFacts, CacheFacts, DirectoryFacts, Facts, KeyFacts, ProbeError, RepositoryFacts, TopicFacts
from .filesystems import GIB, check_directories
from .finding import Finding, Level, errors
from .key import check_key
from .machine import check_limits, check_programs, check_python, check_sandbox
from .port_and_clock import check_clock, check_port
from .repositories import check_repositories

__all__ = [
    "GIB",
    "BrokerFacts",
    "CacheFacts",
    "DirectoryFacts",
    "Facts",
    "Finding",
    "KeyFacts",
    "Level",
    "ProbeError",
    "RepositoryFacts",
    "TopicFacts",
    "errors",
    "judge",
]

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    check_python,
    check_programs,
    check_sandbox,
    check_limits,
    check_directories,
    check_caches,
    check_key,
    check_port,
    check_broker,
    check_clock,
    check_repositories,
)
"""In the order in which a person would fix the findings."""


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Returns all findings, in the order of the checks."""
    return tuple(finding for check in CHECKS for finding in check(facts))
