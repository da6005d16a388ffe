"""What a machine lacks: facts come in, findings go out, each with the thing, the cause and the command that mends it.

`Facts` are what probes have seen (cloud_builder/adapters/machine); what was not looked at is None or empty and judged
by nobody. An error is what nothing works with; a warning what works worse, or not for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

GIB = 1024**3
LEAST_PYTHON = (3, 11)
LEAST_YEAR = 1_735_689_600.0
"""2025-01-01 in seconds since the epoch: a clock before that was never set."""
MOST_SKEW = 30.0
WORST_SKEW = 600.0
MIB = 1024**2
NO_ROOM = 64 * MIB
LITTLE_ROOM, LITTLE_ROOM_TO_BUILD = GIB, 5 * GIB
NO_INODES, FEW_INODES, FEW_INODES_TO_BUILD = 200, 5_000, 50_000
LONG_LIVED = 30 * 86400.0
_NO_UPPER = frozenset({"overlay", "nfs", "nfs4", "cifs", "vfat", "exfat", "fuse", "fuseblk", "9p"})


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """`check`: what was looked at; `mend`: the exact command, or what else to do, where something is wrong."""

    check: str
    level: Level
    message: str
    mend: str = ""


@dataclass(frozen=True)
class Refusal:
    """What a trial or a connection failed with."""

    message: str
    hint: str = ""


@dataclass(frozen=True)
class Place:
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
class Key:
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
    refusal: Refusal | None = None
    topics: tuple[tuple[TopicFacts, TopicFacts], ...] = ()
    """(wanted, found)"""
    ahead: float | None = None
    unshared: Refusal | None = None
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
    kiwi: Refusal | None = None
    trial: Refusal | None = None
    """Why a trial run in the sandbox failed."""
    tried: bool = False
    seccomp: bool = True
    cgroup_controllers: frozenset[str] | None = None
    """Delegated to us; empty: none."""
    places: tuple[Place, ...] = ()
    key: Key | None = None
    port: tuple[str, Refusal | None] | None = None
    broker: BrokerFacts | None = None


def judge(facts: Facts) -> tuple[Finding, ...]:
    """All findings, in the order in which someone would mend them."""
    return tuple(finding for check in CHECKS for finding in check(facts))


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.level is Level.ERROR)


def _ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def _python(facts: Facts) -> Iterator[Finding]:
    version = ".".join(map(str, facts.python))
    if facts.python < LEAST_PYTHON:
        mend = "apt-get install python3 (Debian 12 or newer), then install Cloud Builder with it"
        yield Finding("python", Level.ERROR, f"Python {version} is too old, 3.11 is needed", mend)
    elif facts.kiwi is not None:
        mend = facts.kiwi.hint or "pip install --force-reinstall kiwi"
        yield Finding("python", Level.ERROR, f"KIWI cannot be loaded: {facts.kiwi.message}", mend)
    else:
        yield _ok("python", f"Python {version}")


def _programs(facts: Facts) -> Iterator[Finding]:
    for program, package, needed in facts.missing:
        level = Level.ERROR if needed else Level.WARNING
        yield Finding("programs", level, f"{program} is not installed on this machine", f"apt-get install {package}")
    if not facts.missing:
        yield _ok("programs", "all there")


def _sandbox(facts: Facts) -> Iterator[Finding]:
    if facts.trial is not None:
        yield Finding("sandbox", Level.ERROR, facts.trial.message, facts.trial.hint)
    elif facts.tried:
        yield _ok("sandbox", f"user {facts.user} can confine builds (Linux {facts.kernel})")
    if not facts.seccomp:
        mend = "boot a kernel with CONFIG_SECCOMP_FILTER"
        yield Finding("seccomp", Level.WARNING, "the kernel has no seccomp: builds may make every system call", mend)


def _limits(facts: Facts) -> Iterator[Finding]:
    if facts.cgroup_controllers is None:
        return
    lacking = {"memory", "pids"} - facts.cgroup_controllers
    if lacking:
        cause = f"no cgroup v2 with {' and '.join(sorted(lacking))} is delegated to this process"
        effect = "memory and processes of builds are limited by a watchdog and rlimits, which a fast build can overrun"
        mend = (
            "run it with systemd-run --user --scope -p Delegate=yes cb-ctl …, or as a service with Delegate=yes "
            "(systemd/cb-runner@.service)"
        )
        yield Finding("limits", Level.WARNING, f"{cause}: {effect}", mend)
    else:
        yield _ok("limits", "a cgroup is delegated: the kernel limits memory and processes of builds")


def _places(facts: Facts) -> Iterator[Finding]:
    for place in facts.places:
        found = tuple(_place(place, facts.user))
        yield from found or (_ok(place.name, f"{place.path}: {place.file_system}, {place.free / GIB:.1f} GiB free"),)


def _place(place: Place, user: str) -> Iterator[Finding]:
    elsewhere = f"point the setting {place.setting} to another file system"
    if not place.writable:
        mend = f"chown {user} {place.path}, or {elsewhere}"
        yield Finding(place.name, Level.ERROR, f"{place.path} cannot be written by user {user}", mend)
    wanted, files = (LITTLE_ROOM_TO_BUILD, FEW_INODES_TO_BUILD) if place.builds else (LITTLE_ROOM, FEW_INODES)
    if place.free < wanted:
        level = Level.ERROR if place.free < NO_ROOM else Level.WARNING
        message = f"{place.path} has {place.free // MIB} MiB left; it wants at least {wanted // GIB} GiB"
        yield Finding(place.name, level, message, f"make room there (df -h {place.path}), or {elsewhere}")
    if place.inodes is not None and place.inodes < files:
        level = Level.ERROR if place.inodes < NO_INODES else Level.WARNING
        message = f"{place.path} has room for {place.inodes} files; it wants at least {files}"
        yield Finding(place.name, level, message, f"make room there (df -i {place.path}), or {elsewhere}")
    if place.builds:
        yield from _build_place(place, elsewhere)


def _build_place(place: Place, elsewhere: str) -> Iterator[Finding]:
    if place.file_system in _NO_UPPER:
        cause = f"{place.path} lies on {place.file_system}, which overlays cannot write to"
        yield Finding(place.name, Level.ERROR, cause, f"{elsewhere}: ext4, xfs, btrfs or tmpfs")
    if "noexec" in place.options:
        mend = f"mount -o remount,exec $(findmnt -no TARGET -T {place.path}), or {elsewhere}"
        cause = f"{place.path} is mounted noexec: programs of a build root could not run"
        yield Finding(place.name, Level.ERROR, cause, mend)
    if "nosuid" in place.options:
        mend = f"mount -o remount,suid $(findmnt -no TARGET -T {place.path}), or {elsewhere}"
        effect = "set-user-ID programs of a build root have no effect (su, mount in a package's tests)"
        yield Finding(place.name, Level.WARNING, f"{place.path} is mounted nosuid: {effect}", mend)


def _clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.broker.ahead if facts.broker and facts.broker.ahead is not None else 0.0
    mend = "set the clock: timedatectl set-ntp true (apt-get install systemd-timesyncd), or date --set"
    if facts.now < LEAST_YEAR:
        yield Finding("clock", Level.ERROR, "this machine's clock is before 2025: it was never set", mend)
    elif ahead > MOST_SKEW:
        level = Level.ERROR if ahead > WORST_SKEW else Level.WARNING
        yield Finding("clock", level, f"messages on the broker are {ahead:.0f} s from the future of this clock", mend)
    else:
        yield _ok("clock", "plausible")


def _key(facts: Facts) -> Iterator[Finding]:
    key = facts.key
    if key is None:
        return
    if key.foreign:
        mend = f"chown -R {facts.user} {key.home}"
        yield Finding("key", Level.ERROR, f"{key.home} does not belong to user {facts.user}", mend)
    if key.open_files:
        names = " ".join(key.open_files)
        message = f"others may read the signing key: {', '.join(key.open_files)}"
        yield Finding("key", Level.ERROR, message, f"chmod go= {names}; if others had access, make a new key")
    if key.trouble:
        yield Finding(
            "key", Level.ERROR, f"the signing key cannot be read: {key.trouble}", f"gpg --homedir {key.home} -K"
        )
    elif key.expires and key.expires < facts.now + LONG_LIVED:
        days = (key.expires - facts.now) / 86400
        message = "the signing key has expired" if days <= 0 else f"the signing key expires in {days:.0f} days"
        level = Level.ERROR if days <= 0 else Level.WARNING
        yield Finding("key", level, message, _extend(key))
    elif not (key.open_files or key.foreign):
        yield _ok("key", f"signing key in {key.home}")


def _extend(key: Key) -> str:
    listed = f"gpg --homedir {key.home} --list-keys --with-colons"
    return f"gpg --homedir {key.home} --quick-set-expire $({listed} | awk -F: '/^fpr/ {{print $10; exit}}') 5y"


def _port(facts: Facts) -> Iterator[Finding]:
    if facts.port is None:
        return
    where, refusal = facts.port
    if refusal is None:
        yield _ok("port", f"repositories can be served at {where}")
    else:
        mend = refusal.hint or "choose another: cb-ctl up --port N, or the setting collector.port"
        yield Finding("port", Level.ERROR, f"repositories cannot be served at {where}: {refusal.message}", mend)


def _broker(facts: Facts) -> Iterator[Finding]:
    broker = facts.broker
    if broker is None:
        return
    if broker.refusal is not None:
        yield Finding("broker", Level.ERROR, broker.refusal.message, broker.refusal.hint)
        return
    kind = "the embedded broker" if broker.embedded else "Kafka"
    yield _ok("broker", f"{kind} at {broker.bootstrap} answers")
    found = [finding for wanted, topic in broker.topics for finding in _topic(broker, wanted, topic)]
    yield from found
    if broker.topics and not found:
        yield _ok("topics", "all as the topic table wants them")
    if broker.unshared is not None:
        yield Finding("dispatch", Level.ERROR, broker.unshared.message, broker.unshared.hint)


def _topic(broker: BrokerFacts, wanted: TopicFacts, found: TopicFacts) -> Iterator[Finding]:
    if not found.exists:
        mend = f"none needed where the daemons may create topics; else BOOTSTRAP={broker.bootstrap} schemas/topics.sh"
        yield Finding("topics", Level.WARNING, f"{wanted.name} does not exist yet", mend)
        return
    if found.partitions < wanted.partitions:
        alter = f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --alter --topic {wanted.name}"
        message = f"{wanted.name} has {found.partitions} partitions, not {wanted.partitions}"
        yield Finding("topics", Level.WARNING, message, f"{alter} --partitions {wanted.partitions}")
    for name, value in sorted(wanted.settings.items()):
        actual = found.settings.get(name)
        if actual is not None and (level := _worse(name, value, actual)) is not None:
            alter = f"kafka-configs.sh --bootstrap-server {broker.bootstrap} --alter --topic {wanted.name}"
            message = f"{wanted.name} has {name}={actual}, not {value}"
            yield Finding("topics", level, message, f"{alter} --add-config '{name}=[{value}]'")


def _worse(setting: str, wanted: str, actual: str) -> Level | None:
    """What a setting that is not as wanted means; None: nothing."""
    if setting == "cleanup.policy":
        same = set(wanted.split(",")) == set(actual.split(","))
        return None if same else Level.ERROR
    if setting == "max.message.bytes":
        return Level.ERROR if int(actual) < int(wanted) else None
    if setting == "retention.ms":
        kept = float("inf") if int(actual) < 0 else int(actual)
        return Level.WARNING if kept < (float("inf") if int(wanted) < 0 else int(wanted)) else None
    return None


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _python,
    _programs,
    _sandbox,
    _limits,
    _places,
    _key,
    _port,
    _broker,
    _clock,
)
