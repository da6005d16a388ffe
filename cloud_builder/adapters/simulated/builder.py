"""A builder that plays a build: it takes its time, prints a line, and uploads one tiny package that depends only on
what the order says. Everything around a build is real: slots, cancel, store, reports, and what a killed one leaves.

In comes an order, out go a .deb and a log in the object store. Runs no program, and never raises.
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
    """ports.builder.Builder. `work`: a directory of this runner alone; `seconds`: how long each build takes."""

    def __init__(self, store: ObjectStore, work: Path, seconds: float) -> None:
        self._store, self._jobs, self._seconds = store, work / "jobs", seconds

    def build(self, order: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        said: dict[str, Any]
        started = time.time()
        job = self._jobs / f"{order.job_id}.{order.attempt}.{secrets.token_hex(4)}"
        try:
            job.mkdir(mode=0o700, parents=True)
            log(f"pretending to build {order.name}\n".encode())
            if cancel.wait(self._seconds):
                said = {"outcome": Outcome.CANCELED, "code": "canceled", "message": "canceled"}
            else:
                said = {"outcome": Outcome.SUCCESS, "artifacts": (self._made(order, job),)}
        except Retryable as error:
            said = {"outcome": Outcome.ERROR, "code": error.code, "message": error.message, "hint": error.hint}
        except OSError as error:
            hint = "Is the disk of the runner full?"
            said = {"outcome": Outcome.ERROR, "code": "machine", "message": f"{job}: {error.strerror}", "hint": hint}
        finally:
            shutil.rmtree(job, ignore_errors=True)
        return AttemptFinished(
            job_id=order.job_id,
            attempt=order.attempt,
            runner_id=order.runner_id,
            started_at=started,
            finished_at=time.time(),
            **said,
        )

    def buildroots(self) -> tuple[str, ...]:
        return ()

    def sweep(self) -> None:
        shutil.rmtree(self._jobs, ignore_errors=True)

    def _made(self, order: JobAssigned, job: Path) -> Artifact:
        described = package.described(order.name, VERSION)
        used = "".join(f"{one.name} {one.sha256}\n" for one in sorted(order.dependencies, key=lambda one: one.name))
        file = job / f"{described.name}_{described.version}_all.deb"
        file.write_bytes(package.deb(described, f"{order.target.name}\n{order.tree}\n{used}"))
        digest, size = self._store.put(file)
        return Artifact(name=file.name, sha256=digest, size=size, kind=ArtifactKind.DEB, package=described)
