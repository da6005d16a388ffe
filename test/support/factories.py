"""Units, jobs, runners and packages for tests. A test passes the values that matter to it; others have defaults."""

from hashlib import sha256

from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.outcome import JobState, Kind, Outcome
from cloud_builder.model.unit import Target, Unit
from cloud_builder.planning.records import JobRecord, RunnerRecord

BOOKWORM = Target(name="bookworm.x86_64", dist="bookworm", arch="x86_64")


def unit(name: str = "u", build_depends: str = "", provides: tuple[str, ...] = (), **more) -> Unit:
    """Returns a unit that provides a binary package of its own name."""
    path = more.get("path", f"p/{name}")
    fields = {"path": path, "directory": f"projects/{path}", "name": name, "kind": Kind.PACKAGE, "tree": "0" * 40}
    fields |= {"targets": (BOOKWORM,), "provides": provides or (name,), "build_depends": build_depends}
    return Unit(**{**fields, **more})


def changelog(name: str, version: str = "1.0") -> str:
    """Returns the debian/changelog of a source with one entry."""
    return (
        f"{name} ({version}) unstable; urgency=medium\n\n  * A change.\n\n"
        " -- A B <a@example.org>  Thu, 01 Oct 2026 08:00:00 +0000\n"
    )


def unit_files(
    name: str, *needs: str, content: str = "", targets: str = "{dist: bookworm, arch: x86_64}"
) -> dict[str, bytes]:
    """Returns the files of a package unit in a source repository. `needs`: units that it build-depends on."""
    top = f"projects/packages/{name}"
    depends = ", ".join(("debhelper", *needs))
    control = f"Source: {name}\nBuild-Depends: {depends}\n\nPackage: {name}\nArchitecture: any\n"
    manifest = f"schema_version: 1.0\nname: {name}\ndistributions: [{targets}]\n"
    return {
        f"{top}/.cb/cloud_builder.yml": manifest.encode(),
        f"{top}/.cb/build_root.kiwi": b"<image/>",
        f"{top}/debian/control": control.encode(),
        f"{top}/debian/changelog": changelog(name).encode(),
        f"{top}/content": content.encode(),
    }


def deb(
    name: str = "u", version: str = "1", arch: str = "amd64", *, content: str = "", digest: str = "", **fields
) -> Artifact:
    """Returns a Debian package. `content` or `digest` distinguishes builds. `fields`: of BinaryPackage."""
    return Artifact(
        name=f"{name}_{version}_{arch}.deb",
        sha256=digest or sha256(f"{name} {version} {arch} {content}".encode()).hexdigest(),
        size=1,
        kind=ArtifactKind.DEB,
        package=BinaryPackage(name=name, version=version, architecture=arch, **fields),
    )


def job(number: int = 1, *, request: str = "r", **more) -> JobRecord:
    """Returns a job that waits for a slot."""
    fields = {
        "job_id": f"{request}.{number}",
        "request_id": request,
        "number": number,
        "sequence": 1,
        "source": "s",
        "url": "u",
        "revision": "a" * 40,
        "unit": f"p/u{number}",
        "directory": "d",
        "name": f"u{number}",
        "kind": Kind.PACKAGE,
        "tree": "b" * 40,
        "target": BOOKWORM,
        "state": JobState.QUEUED,
        "input_key": "k",
    }
    return JobRecord(**{**fields, **more})


def runner(
    name: str = "r1", *, slots: int = 1, arch: str = "x86_64", group: str = "", attempts=(), **more
) -> RunnerRecord:
    """Returns a live runner. `attempts`: the attempts on it, as (job id, number)."""
    fields = {"runner_id": name, "runner_group": group, "arch": arch, "slots": slots, "attempts": frozenset(attempts)}
    return RunnerRecord(**{"started_at": 1, "last_seen": 1, **fields, **more})


def assignment(number: int = 1, attempt: int = 1, runner: str = "r1", **more) -> JobAssigned:
    """Returns an attempt at job `number`, assigned to a runner."""
    fields = {
        "job_id": f"q.{number}",
        "attempt": attempt,
        "runner_id": runner,
        "request_id": "q",
        "source": "s",
        "url": "u",
        "revision": "a" * 40,
        "unit": "p/u",
        "directory": "projects/p/u",
        "name": "u",
        "kind": Kind.PACKAGE,
        "tree": "b" * 40,
        "target": BOOKWORM,
        "input_key": "k",
    }
    return JobAssigned(**{**fields, **more})


def report(job: JobRecord, outcome: Outcome, **more) -> AttemptFinished:
    """Returns the report on the current attempt of the job."""
    about = {"job_id": job.job_id, "attempt": job.attempt, "runner_id": job.runner_id, "outcome": outcome}
    return AttemptFinished(**{"started_at": 1, "finished_at": 2, **about, **more})
