"""All settings and their defaults. `doc/reference/settings.md` is generated from this module.

Durations are in seconds, sizes in bytes. Only wiring reads the file, the CB_* variables and the flags that set them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from .dispatch import Dispatch
from .frozen import StrictModel
from .ids import SOURCE_NAME
from .limits import Limits
from .rebuild import DEFAULT_SUFFIX, valid_suffix


class BrokerSettings(StrictModel):
    """The connection to Kafka, or to the embedded broker of `cb-ctl up`."""

    bootstrap: str = "127.0.0.1:9092"
    """Addresses of brokers: `host:port`, separated by commas."""
    embedded: bool = False
    """The broker is the one inside the confluent-kafka wheel. `cb-ctl up` sets this."""
    incarnation: str = ""
    """Embedded broker: names one run of it, because all its data is lost when it ends. `cb-ctl up` sets this."""
    wake_directory: str = ""
    """Embedded broker: the directory of the sockets by which senders wake readers. `cb-ctl up` sets this."""
    options: dict[str, str] = {}
    """Further settings of librdkafka, e.g. `security.protocol`, `sasl.mechanism`."""


class SourceSettings(StrictModel):
    """A git repository to follow."""

    url: str
    branch: str = ""
    """The branch to follow; empty: the default branch of the repository."""
    rebuild_suffix: str = DEFAULT_SUFFIX
    """What is added to the version of a package that is built again with other contents; `{n}` counts from 1. It must
    sort after the version itself and before the next one; `build{n}` also sorts before `1.0-1ubuntu1`."""

    @field_validator("rebuild_suffix")
    @classmethod
    def _sorts_right(cls, pattern: str) -> str:
        return valid_suffix(pattern)


class RequestSettings(StrictModel):
    """cb-request turns requests and pushes into accepted requests."""

    poll_interval: float = Field(default=10.0, gt=0)
    """Seconds between two checks of a source for new commits."""
    build_on_push: bool = True
    """A new commit on a followed branch is a request for the changed units and their dependants."""
    repository_state_max_age: float = 300.0
    """Seconds for which the state of a package repository that a build root names is cached."""
    manifest_max_bytes: int = 1024 * 1024
    """The largest manifest or build root description that is read; a unit with a larger one has a problem."""


class SchedulerSettings(StrictModel):
    """cb-scheduler owns the state of all jobs and dispatches them to runners."""

    lease: float = Field(default=12.0, gt=0)
    """Seconds that a runner may be silent before its jobs are given to other runners."""
    max_errors: int = Field(default=3, ge=1)
    """A job whose attempts ended in `error` this many times is not tried again."""
    retry_delay: float = 2.0
    """Seconds between the first attempt and the second; they double with each further attempt."""
    cycle_rounds: int = Field(default=3, ge=1)
    """The most rounds in which units that build-depend on each other are built; fewer, if their output stays the
    same."""
    ageing: float = Field(default=1800.0, gt=0)
    """Seconds of waiting after which a job counts as one of the next more urgent priority class."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Source or requester → slots that it gets for one slot of another; 1 for those that are not listed."""
    quotas: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Source or requester → the most slots that it may have at a time."""
    poison_after: int = Field(default=2, ge=1)
    """A job that lost its runner this many times is a failure (`poison`), and not tried again."""
    quarantine_after: int = Field(default=3, ge=1)
    """A runner whose jobs ended in `error` this many times in a row is quarantined until a probe job succeeds."""

    request_retention: float = Field(default=30.0, ge=8.0)
    """Days for which finished requests and their jobs are kept. At least 8, because topics keep the events that began
    them for a week."""
    result_retention: float = Field(default=180.0, ge=8.0)
    """Days for which the result of an input key is kept after it was last built or used. The newest published build of
    a unit is kept as long as it is published."""
    ha: bool = False
    """Several schedulers, each with its own home, of which one leads. The leader writes in Kafka transactions, so that
    a leader that was replaced cannot write. Needs Apache Kafka, not the embedded broker."""
    standby: bool = False
    """Implies `ha`. This scheduler never leads at once: it follows until no leader sent a heartbeat for
    `leader_timeout` seconds, even if there was none yet."""
    id: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """The name of this scheduler among the others; default: the machine's name. If it is set, the state is in
    <home>/scheduler-<id>."""
    leader_timeout: float = Field(default=9.0, ge=4.0)
    """A leader whose heartbeat is missing for this long is replaced."""

    @property
    def is_one_of_several(self) -> bool:
        return self.ha or self.standby


class RunnerSettings(StrictModel):
    """cb-runner builds the jobs that it is assigned."""

    id: str = "runner-1"
    """The name of this runner; no two runners of a mesh have the same."""
    group: str = ""
    """The runner group; a unit may name one (`runner_group`)."""
    slots: int = Field(default=1, ge=1)
    """Jobs that it builds at the same time."""
    heartbeat: float = Field(default=3.0, gt=0)
    """Seconds between two heartbeats (`runner.seen`)."""
    limits: Limits = Limits()
    kvm: bool = False
    """Builds can run virtual machines with KVM. It is not detected: where /dev/kvm opens, guests may still hang."""
    tags: tuple[str, ...] = ()
    """Free words that units may require in their `constraints`."""
    work: Path | None = None
    """The directory for build roots, layers and overlays, on a file system with much free space. Default:
    <home>/<runner id>/work."""
    layer_cache: int = Field(default=20 * 1024**3, ge=0)
    """Bytes of installed build dependencies that are kept for further builds, the most recently used ones."""
    simulate: float = Field(default=0.0, ge=0)
    """For load and fault tests only. Above 0: nothing is built; a job takes this many seconds, and its result is a tiny
    package that depends only on the job's inputs."""


class CollectorSettings(StrictModel):
    """cb-collector signs and publishes packages, and serves them over HTTP."""

    host: str = "127.0.0.1"
    """The address that it listens on."""
    port: int = Field(default=8480, ge=0, le=65535)
    """The port that it listens on; 0: any free port, which needs `public_url`."""
    public_url: str = ""
    """The URL by which others reach it. Default: http://<host>:<port>; needed if `host` means all addresses."""
    key_name: str = "Cloud Builder repositories"
    """The user id of the GnuPG key that signs the repositories; the key is made if it is missing."""
    keep_snapshots: int = Field(default=10, ge=2)
    """The newest snapshots of each repository that are kept, the live one included."""
    publish_at_once: tuple[str, ...] = ()
    """Repositories (`example-bookworm`), or sources for all of theirs, that publish each build at once, also when
    published packages cannot be installed with it. Default: builds wait for each other."""

    object_retention: float = Field(default=190.0, ge=0)
    """Days for which an object of the store (a package, a log) is kept after it was last built or used, if it is not
    published; 0: for ever. At least two days longer than `scheduler.result_retention` and `info.request_retention`."""

    @property
    def url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class InfoSettings(StrictModel):
    """cb-info answers queries from a read model of all events."""

    request_retention: float = Field(default=30.0, ge=8.0)
    """Days for which finished requests and their jobs are shown. At least 8, because topics keep the events about them
    for a week."""


class Settings(StrictModel):
    """All settings of the daemons and of cb-ctl."""

    home: Path
    """The state of this machine's daemons. Default: $XDG_STATE_HOME/cloud-builder, else
    ~/.local/state/cloud-builder."""
    cache: Path
    """Files that can be made again. Default: $XDG_CACHE_HOME/cloud-builder, else ~/.cache/cloud-builder."""
    store: Path | None = None
    """The object store for artifacts and whole logs. Default: <home>/store."""
    buildroot_store: Path | None = None
    """The object store for build roots, shared by all runners of a machine. Default: <cache>/store."""
    broker: BrokerSettings = BrokerSettings()
    dispatch: Dispatch = Dispatch.DIRECTED
    """`directed`: the scheduler chooses the runner. `shared-queue` (Kafka 4.2 or newer): it offers jobs, and runners of
    a pool claim them. The scheduler and all runners need the same value."""
    sources: dict[str, SourceSettings] = Field(
        default={}, json_schema_extra={"propertyNames": {"pattern": SOURCE_NAME}}
    )
    """Name → `url` and `branch` of each git repository to follow. `cb-ctl source add` follows others."""
    request: RequestSettings = RequestSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    runner: RunnerSettings = RunnerSettings()
    collector: CollectorSettings = CollectorSettings()
    info: InfoSettings = InfoSettings()
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""

    @property
    def store_path(self) -> Path:
        return self.store or self.home / "store"

    @property
    def buildroot_store_path(self) -> Path:
        return self.buildroot_store or self.cache / "store"

    @property
    def runner_work(self) -> Path:
        return self.runner.work or self.home / self.runner.id / "work"
