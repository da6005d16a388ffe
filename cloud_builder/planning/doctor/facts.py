"""Facts that the probes found (cloud_builder/adapters/machine, adapters/kafka).

A fact that was not probed is None or empty, and no check reports anything about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIN_PYTHON = (3, 11)


@dataclass(frozen=True)
class ProbeError:
    """The error of a probe, and what to do about it."""

    message: str
    hint: str = ""


@dataclass(frozen=True)
class DirectoryFacts:
    """A directory that daemons write to, or the nearest directory above it that exists.

    `free`: bytes.
    `inodes`: None: the file system has no limit.
    `options`: mount options.
    `builds`: True if overlays are mounted there and programs run from there.
    `setting`: the setting that names the directory.
    """

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
class CacheFacts:
    """The bytes on disk of one kind of cache (`cb-ctl clean`), and those that are not in use."""

    kind: str
    size: int
    unused: int


@dataclass(frozen=True)
class KeyFacts:
    """The signing key.

    `home`: the GnuPG home directory.
    `expires`: seconds since the epoch; 0: never; None: the key could not be read.
    `error`: why the key could not be read.
    """

    home: str
    open_files: tuple[str, ...] = ()
    """Files of the key that other users may read."""
    foreign: bool = False
    """True if the home belongs to another user."""
    expires: float | None = None
    error: str = ""


@dataclass(frozen=True)
class TopicFacts:
    """A topic as it is, or as it should be.

    `settings`: by Kafka's names; empty: they could not be read.
    `exists`: False: the broker does not have the topic.
    """

    name: str
    partitions: int
    settings: Mapping[str, str]
    exists: bool = True


@dataclass(frozen=True)
class BrokerFacts:
    """A broker.

    `error`: why it could not be reached.
    `ahead`: seconds that its newest messages are ahead of this machine's clock; None: none is.
    """

    bootstrap: str
    embedded: bool = False
    error: ProbeError | None = None
    topics: tuple[tuple[TopicFacts, TopicFacts], ...] = ()
    """(expected, actual)"""
    ahead: float | None = None
    share_group_error: ProbeError | None = None
    """Why runners cannot use shared queues there, if the settings ask for them."""


@dataclass(frozen=True)
class RepositoryFacts:
    """A published repository: how many builds are held back, and how many packages stay that no unit makes."""

    name: str
    held: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Facts:
    """Everything that was probed, by one user at one time."""

    user: str
    now: float
    kernel: str = ""
    python: tuple[int, ...] = MIN_PYTHON
    missing: tuple[tuple[str, str, bool], ...] = ()
    """(program, its Debian package, whether every build needs it)"""
    kiwi: ProbeError | None = None
    sandbox_error: ProbeError | None = None
    """Why a trial run in the sandbox failed."""
    is_sandbox_tried: bool = False
    seccomp: bool = True
    cgroup_controllers: frozenset[str] | None = None
    """The controllers that are delegated to this process; empty: none."""
    directories: tuple[DirectoryFacts, ...] = ()
    key: KeyFacts | None = None
    port: tuple[str, ProbeError | None] | None = None
    """(address, why it cannot be used)"""
    caches: tuple[CacheFacts, ...] = ()
    broker: BrokerFacts | None = None
    repositories: tuple[RepositoryFacts, ...] = ()
    """Of the running mesh."""
