"""What probes have seen (cloud_builder/adapters/machine, adapters/kafka). What was not looked at is None or empty, and
judged by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_PYTHON = (3, 11)


@dataclass(frozen=True)
class ProbeError:
    """What a trial or a connection failed with."""

    message: str
    hint: str = ""


@dataclass(frozen=True)
class DirectoryFacts:
    """A directory that we write to, or the nearest one above it that exists. `free` in bytes; `inodes` None: the file
    system has as many as it wants. `builds`: overlays are mounted there and programs run from there."""

    name: str
    path: str
    file_system: str
    free: int
    inodes: int | None
    writable: bool
    options: frozenset[str] = frozenset()
    builds: bool = False
    setting: str = ""


@dataclass(frozen=True)
class KeyFacts:
    """The signing key. `expires`: seconds since the epoch, 0 never, None: it could not be read."""

    home: str
    open_files: tuple[str, ...] = ()
    """Files of it that others may read."""
    foreign: bool = False
    """The home belongs to another user."""
    expires: float | None = None
    trouble: str = ""


@dataclass(frozen=True)
class TopicFacts:
    """A topic as it is, or (`exists`: False) as it should be. `settings` in Kafka's own words; empty: not readable."""

    name: str
    partitions: int
    settings: Mapping[str, str]
    exists: bool = True


@dataclass(frozen=True)
class BrokerFacts:
    """`ahead`: seconds that its newest messages are ahead of our clock; None: it has none, or none from the future."""

    bootstrap: str
    embedded: bool = False
    refusal: ProbeError | None = None
    topics: tuple[tuple[TopicFacts, TopicFacts], ...] = ()
    """(wanted, found)"""
    ahead: float | None = None
    unshared: ProbeError | None = None
    """Why runners cannot share queues there, when the settings want them to."""


@dataclass(frozen=True)
class Facts:
    """Everything that was looked at, by one user at one time."""

    user: str
    now: float
    kernel: str = ""
    python: tuple[int, ...] = LEAST_PYTHON
    missing: tuple[tuple[str, str, bool], ...] = ()
    """(program, its Debian package, needed by every build)"""
    kiwi: ProbeError | None = None
    trial: ProbeError | None = None
    """Why a trial run in the sandbox failed."""
    tried: bool = False
    seccomp: bool = True
    cgroup_controllers: frozenset[str] | None = None
    """Delegated to us; empty: none."""
    places: tuple[DirectoryFacts, ...] = ()
    key: KeyFacts | None = None
    port: tuple[str, ProbeError | None] | None = None
    broker: BrokerFacts | None = None
