"""Simulates a build: waits, prints a line, and uploads one small package that depends only on the assignment.

Input: an assignment. Output: a .deb and a log in the object store. Slots, cancel, store, reports, and the leftovers of
a killed build are real. Must not run a program, and must not raise.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from cloud_builder.errors import Retryable
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.store import ObjectStore

from . import package

VERSION = "1.0"


class SimulatedBuilder:
    """The port Builder. `work`: a directory of this runner alone. `seconds`: duration of each build."""

    def __init__(self, store: ObjectStore, work: Path, seconds: float) -> None:
        self._store, self._jobs, self._seconds = store, work / "jobs", seconds

    def build(self, assignment: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        result: dict[str, Any]
        started = time.time()
        job = self._jobs / f"{assignment.job_id}.{assignment.attempt}.{secrets.token_hex(4)}"
        try:
            job.mkdir(mode=0o700, parents=True)
            log(f"simulating the build of {assignment.name}\n".encode())
            if cancel.wait(self._seconds):
                result = {"outcome": Outcome.CANCELED, "code": "canceled", "message": "canceled"}
            else:
                version = assignment.rebuild.built_version if assignment.rebuild else VERSION
                built = self._upload_package(assignment, job, version)
                result = {"outcome": Outcome.SUCCESS, "artifacts": (built,), "source_version": version}
        except Retryable as error:
            result = {"outcome": Outcome.ERROR, "code": error.code, "message": error.message, "hint": error.hint}
        except OSError as error:
            hint = "Check the free space on the disk of the runner."
            result = {"outcome": Outcome.ERROR, "code": "machine", "message": f"{job}: {error.strerror}", "hint": hint}
        finally:
            shutil.rmtree(job, ignore_errors=True)
        return AttemptFinished(
            job_id=assignment.job_id,
            attempt=assignment.attempt,
            runner_id=assignment.runner_id,
            started_at=started,
            finished_at=time.time(),
            **result,
        )

    def buildroots(self) -> tuple[str, ...]:
        return ()

    def sweep(self) -> None:
        shutil.rmtree(self._jobs, ignore_errors=True)

    def _upload_package(self, assignment: JobAssigned, job: Path, version: str) -> Artifact:
        described = package.described(assignment.name, version)
        used = "".join(
            f"{one.name} {one.sha256}\n" for one in sorted(assignment.dependencies, key=lambda one: one.name)
        )
        file = job / f"{described.name}_{described.version}_all.deb"
        file.write_bytes(package.deb(described, f"{assignment.target.name}\n{assignment.tree}\n{used}"))
        digest, size = self._store.put(file)
        return Artifact(name=file.name, sha256=digest, size=size, kind=ArtifactKind.DEB, package=described)
