"""All settings, with their defaults. Wiring reads them from a file, CB_* variables and flags; nothing else does.

Durations are seconds, sizes bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from .dispatch import Dispatch
from .frozen import StrictModel
from .ids import SOURCE_NAME
from .limits import Limits


class BrokerSettings(StrictModel):
    """Where the broker is. `embedded` marks the broker inside the confluent-kafka wheel; its `incarnation` names one
    life of it, because it forgets everything when it ends."""

    bootstrap: str = "127.0.0.1:9092"
    embedded: bool = False
    incarnation: str = ""
    wake_directory: str = ""
    """Of the embedded broker: where readers have the sockets by which senders wake them."""
    options: dict[str, str] = {}
    """Further librdkafka settings, e.g. security.protocol, sasl.*"""


class SourceSettings(StrictModel):
    """A git repository to follow."""

    url: str
    branch: str = ""
    """Empty: the default branch of the repository."""


class RequestSettings(StrictModel):
    """cb-request."""

    poll_interval: float = Field(default=10.0, gt=0)
    """How often each source is asked for new commits."""
    build_on_push: bool = True
    repository_state_max_age: float = 300.0
    """How long the state of the package repositories that build roots name is believed before it is read again."""
    manifest_max_bytes: int = 1024 * 1024


class SchedulerSettings(StrictModel):
    """cb-scheduler."""

    lease: float = Field(default=12.0, gt=0)
    """A runner silent for so long loses its jobs."""
    max_errors: int = Field(default=3, ge=1)
    """A job that ended in `error` this many times stays there."""
    retry_delay: float = 2.0
    """Before the second try; doubles with each further one."""
    cycle_rounds: int = Field(default=3, ge=1)
    """How often units that build-depend on each other are built at most, until they stay as they are."""
    ageing: float = Field(default=1800.0, gt=0)
    """A job that has waited for so long is treated as one of the next more urgent class."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Source or requester → its share of the slots beside others, who have 1."""
    quotas: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Source or requester → most slots that it may hold at a time."""
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
    """Several schedulers, each with a home of its own, of which one leads: what the leader says goes out in Kafka's
    transactions, so that one that was replaced cannot write. Needs Apache Kafka, not the embedded broker."""
    standby: bool = False
    """Implies `ha`; waits for a leader to fall silent even where none was heard of yet."""
    id: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """Its name among the schedulers; default: the machine's name. When given, its state is in <home>/scheduler-<id>."""
    leader_timeout: float = Field(default=9.0, ge=4.0)
    """A leader whose heartbeat is missing for this long is replaced."""

    @property
    def is_one_of_several(self) -> bool:
        return self.ha or self.standby


class RunnerSettings(StrictModel):
    """cb-runner."""

    id: str = "runner-1"
    group: str = ""
    slots: int = Field(default=1, ge=1)
    heartbeat: float = Field(default=3.0, gt=0)
    limits: Limits = Limits()
    kvm: bool = False
    """Guests can be run with hardware help here. Not found out by itself: /dev/kvm may open and guests hang."""
    tags: tuple[str, ...] = ()
    """Words that units may ask for in their `constraints`."""
    work: Path | None = None
    """Buildroots, layers and overlays; on a file system with room. Default: <home>/<runner id>/work."""
    simulate: float = Field(default=0.0, ge=0)
    """For load and fault tests only. Above 0: nothing is built; a job takes this many seconds, and its result is a tiny
    package that depends only on the job's inputs."""


class CollectorSettings(StrictModel):
    """cb-collector. The repositories are served at http://<host>:<port>/."""

    host: str = "127.0.0.1"
    port: int = Field(default=8480, ge=0, le=65535)
    public_url: str = ""
    """What others reach it by; default: http://<host>:<port>."""
    key_name: str = "Cloud Builder repositories"
    keep_snapshots: int = Field(default=10, ge=2)

    @property
    def url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class InfoSettings(StrictModel):
    """cb-info."""

    request_retention: float = Field(default=30.0, ge=8.0)
    """Days for which finished requests and their jobs are shown. At least 8, because topics keep the events about them
    for a week."""


class Settings(StrictModel):
    """Everything. `home`: the state of this machine's daemons; `cache`: what can be made again."""

    home: Path
    cache: Path
    store: Path | None = None
    """Object store for artifacts; default: <home>/store."""
    buildroot_store: Path | None = None
    """Object store for buildroots, shared by all runners; default: <cache>/store."""
    broker: BrokerSettings = BrokerSettings()
    dispatch: Dispatch = Dispatch.DIRECTED
    """`directed`, or `shared-queue` (Kafka 4.2 or newer): the runners of a group share out among them what the
    scheduler offers. The same for the scheduler and all runners."""
    sources: dict[str, SourceSettings] = Field(
        default={}, json_schema_extra={"propertyNames": {"pattern": SOURCE_NAME}}
    )
    request: RequestSettings = RequestSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    runner: RunnerSettings = RunnerSettings()
    collector: CollectorSettings = CollectorSettings()
    info: InfoSettings = InfoSettings()
    log_level: str = "info"

    @property
    def store_path(self) -> Path:
        return self.store or self.home / "store"

    @property
    def buildroot_store_path(self) -> Path:
        return self.buildroot_store or self.cache / "store"

    @property
    def runner_work(self) -> Path:
        return self.runner.work or self.home / self.runner.id / "work"
