"""Checks invariants after all faults have ended and every request is answered. Each function yields messages."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from chaos.cluster import Cluster
from chaos.event_recorder import EventRecorder
from chaos.leader_log import LeaderLog
from chaos.variant import RUNNERS
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.events import JobAssigned, JobFinished, MessageDead, RequestAccepted, RequestFinished
from cloud_builder.model.outcome import RequestOutcome

BuildId = tuple[str, str]
"""Input key and version of the source. The rebuild number in the version depends on what was published before."""
Made = dict[BuildId, tuple[str, ...]]
"""Build → sha256 of the packages."""


def unanswered(recorder: EventRecorder, asked: set[str]) -> set[str]:
    """Returns the sent requests, and the accepted ones (also of pushes), that have not finished."""
    accepted = {event.request_id for event in recorder.of(RequestAccepted)}
    return (asked | accepted) - {event.request_id for event in recorder.of(RequestFinished)}


def made(recorder: EventRecorder) -> Made:
    good = [job for job in recorder.of(JobFinished) if job.is_good]
    return {_build_id(job): _packages(job) for job in good}


def _build_id(job: JobFinished) -> BuildId:
    return str(job.input_key), job.source_version


def _packages(job: JobFinished) -> tuple[str, ...]:
    """Returns the digests of the packages; a .buildinfo may contain facts of the machine."""
    return tuple(sorted(one.sha256 for one in job.artifacts if one.kind is ArtifactKind.DEB))


def results(recorder: EventRecorder, asked: set[str], quiet: Made | None) -> Iterator[str]:
    for request in unanswered(recorder, asked):
        yield f"request {request} was never finished"
    for event in recorder.of(RequestFinished):
        if event.outcome is not RequestOutcome.SUCCESS and not _is_superseded(event):
            yield f"request {event.request_id} ended in {event.outcome}: {event.message}"
    yield from _doubles("request.finished", Counter(event.request_id for event in recorder.of(RequestFinished)))
    yield from _doubles("job.finished", Counter(event.job_id for event in recorder.of(JobFinished)))
    yield from _assigned_twice(recorder)
    counted = {job.job_id for job in recorder.of(JobFinished)}
    for event in recorder.of(RequestFinished):
        yield from (f"job {job.job_id} has no job.finished" for job in event.jobs if job.job_id not in counted)
    yield from (f"unreadable: {what}" for what in recorder.unreadable)
    for letter in recorder.of(MessageDead):
        yield f"dead letter of {letter.daemon}: {letter.topic}@{letter.offset}: {letter.reason}"
    yield from _differences(recorder, quiet)


def _is_superseded(event: RequestFinished) -> bool:
    """True for a push whose units a newer push builds."""
    return event.outcome is RequestOutcome.SUPERSEDED and event.request_id.startswith("push-")


def _doubles(what: str, counts: Counter[str]) -> Iterator[str]:
    yield from (f"{number} times {what} for {key}" for key, number in counts.items() if number > 1)


def _assigned_twice(recorder: EventRecorder) -> Iterator[str]:
    """Checks that each attempt has one runner: two leaders at the same time would assign it to two."""
    assigned: dict[tuple[str, int], set[str]] = defaultdict(set)
    for event in recorder.of(JobAssigned):
        assigned[event.job_id, event.attempt].add(event.runner_id)
    for (job, attempt), runners in assigned.items():
        if len(runners) > 1:
            yield f"job {job}, attempt {attempt}, was assigned to {' and '.join(sorted(runners))}"


def epochs(leader_log: LeaderLog) -> Iterator[str]:
    """Checks the leaders: no record of an older epoch follows one of a newer, and an epoch has one leader."""
    leaders: dict[int, str] = {}
    newest = 0
    for heartbeat in leader_log.heartbeats:
        if heartbeat.epoch < newest:
            yield f"{heartbeat.id} sent a heartbeat of epoch {heartbeat.epoch} after epoch {newest} had begun"
        if leaders.setdefault(heartbeat.epoch, heartbeat.id) != heartbeat.id:
            yield f"epoch {heartbeat.epoch} had two leaders, {leaders[heartbeat.epoch]} and {heartbeat.id}"
        newest = max(newest, heartbeat.epoch)
    yield from leader_log.lost


def _differences(recorder: EventRecorder, quiet: Made | None) -> Iterator[str]:
    ours: dict[BuildId, set[tuple[str, ...]]] = defaultdict(set)
    for job in recorder.of(JobFinished):
        if job.is_good:
            ours[_build_id(job)].add(_packages(job))
    for (key, version), outputs in ours.items():
        if len(outputs) > 1:
            yield f"input key {key[:12]} led to different artifacts of {version}"
    if quiet is not None:
        for key, version in ours.keys() & quiet.keys():
            if ours[key, version] != {quiet[key, version]}:
                yield f"input key {key[:12]} led to other artifacts of {version} than in a quiet run"
        if not ours.keys() & quiet.keys():
            yield "no build is the same as in a quiet run"


def artifacts(recorder: EventRecorder, cluster: Cluster) -> Iterator[str]:
    """Checks that each artifact and log of a result is in the store, with the content of its digest."""
    for digest in {
        one.sha256 for job in recorder.of(JobFinished) for one in (*job.artifacts, *([job.log] if job.log else []))
    }:
        file = cluster.home / "store" / "objects" / digest[:2] / digest
        if not file.is_file():
            yield f"artifact {digest[:12]} is not in the store"
        elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            yield f"artifact {digest[:12]} is damaged in the store"


def repositories(recorder: EventRecorder, cluster: Cluster, units: int) -> Iterator[str]:
    """Checks over HTTP, as apt does: InRelease is signed, and each index and package that it names has its digest."""
    latest = {where.repository: where.url for event in recorder.of(RequestFinished) for where in event.repositories}
    if not latest:
        yield "no repository was published"
    for name, url in latest.items():
        try:
            yield from _repository(name, url, units)
        except (urllib.error.URLError, OSError) as error:
            yield f"repository {name}: {error}"


def _repository(name: str, url: str, units: int) -> Iterator[str]:
    release = _get(f"{url}/dists/bookworm/InRelease")
    yield from _signature(name, release, _get(f"{url}/key.gpg"))
    packages: set[str] = set()
    for path, digest in _listed(release.decode()).items():
        index = _get(f"{url}/dists/bookworm/{path}")
        by_hash = f"{url}/dists/bookworm/{path.rpartition('/')[0]}/by-hash/SHA256/{digest}"
        if hashlib.sha256(index).hexdigest() != digest or _get(by_hash) != index:
            yield f"repository {name}: {path} is not what InRelease says"
        if path.endswith("/Packages"):
            for stanza in filter(None, index.decode().split("\n\n")):
                fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
                packages.add(fields["Filename"])
                if hashlib.sha256(_get(f"{url}/{fields['Filename']}")).hexdigest() != fields["SHA256"]:
                    yield f"repository {name}: {fields['Filename']} is not what Packages says"
    if len(packages) < units:
        yield f"repository {name} has {len(packages)} packages, and {units} units were built"


def _signature(name: str, release: bytes, key: bytes) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "key.gpg").write_bytes(key)
        (Path(directory) / "InRelease").write_bytes(release)
        command = ["gpgv", "--keyring", f"{directory}/key.gpg", f"{directory}/InRelease"]
        verified = subprocess.run(command, capture_output=True, text=True, check=False)
    if verified.returncode:
        yield f"repository {name}: InRelease does not verify: {verified.stderr.strip()}"


def _listed(release: str) -> Mapping[str, str]:
    """Returns the files that InRelease lists: path → sha256."""
    block = release.partition("\nSHA256:\n")[2]
    lines = [line.split() for line in block.splitlines() if line.startswith(" ")]
    return {path: digest for digest, _, path in lines}


def _get(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
        return bytes(answer.read())


def left_behind(cluster: Cluster) -> Iterator[str]:
    """Checks after all daemons were stopped: no process, mount, directory of a build or incomplete file is left."""
    disks = {_device(mount) for mount in cluster.mounts}
    for pid in Path("/proc").glob("[0-9]*"):
        if _belongs_to(pid, cluster.home, disks):
            yield f"process {pid.name} is left: {_read(pid / 'cmdline').replace(chr(0), ' ')[:200]}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount = line.split()[4]
        if mount.startswith(f"{cluster.home}/") and mount not in cluster.mounts:
            yield f"mount {mount} is left"
    for runner in RUNNERS:
        work = cluster.home / runner / "work"
        left = [*work.glob("jobs/*"), *work.glob("scratch/*"), *work.glob("layers/.new-*"), *work.glob("roots/.new-*")]
        yield from (f"directory {directory} is left" for directory in left)
    yield from (f"control group {group} is left" for group in Path("/sys/fs/cgroup").rglob("cb-build-*"))
    yield from _half_written(cluster)


def _half_written(cluster: Cluster) -> Iterator[str]:
    """Checks the collector's directory. Incomplete files in the store are allowed: they are deleted after a day."""
    for path in (cluster.home / "collector").rglob(".inspect-*"):
        yield f"directory {path} is left"


def _device(path: str) -> str:
    """Returns the device of a path as mountinfo names it."""
    device = Path(path).stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def _belongs_to(pid: Path, home: Path, disks: Set[str]) -> bool:
    """True for a daemon of this run, and for a process in a build, which has its own environment and mount namespace.

    A build has parts of its runner's home mounted elsewhere. Builds of other meshes on this machine only have the small
    file systems of this run among all those that were mounted when they began."""
    if f"CB_HOME={home}\0" in _read(pid / "environ"):
        return True
    try:
        has_own_mounts = (pid / "ns" / "mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return False
    views = [line.split()[2:4] for line in _read(pid / "mountinfo").splitlines()]
    return has_own_mounts and any(f"{home}/" in part or (device in disks and part != "/") for device, part in views)


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
