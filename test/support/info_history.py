"""cb-info's read model after some events, for tests of its views: one line for an event, and one for a query."""

from __future__ import annotations

from typing import Any

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.info.projection import apply_event
from cloud_builder.flow.info.why import why
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.inputs import Inputs, UsedArtifact
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.unit import Unit
from cloud_builder.planning.schedule.queue import QueuePolicy
from support import factories

GIB = 1024**3
OLD, NEW = "a" * 40, "b" * 40
TARGET = factories.BOOKWORM
KEY, OTHER_KEY = "1" * 64, "2" * 64


class InfoHistory:
    """The read model after some events. The clock shows 1000 until a test moves it."""

    def __init__(self, rules: QueuePolicy | None = None) -> None:
        self.state, self.rules, self.now = MemoryState(), rules or QueuePolicy(), 1000.0

    def apply(self, *payloads: e.Payload) -> InfoHistory:
        for payload in payloads:
            apply_event(payload, self.state)
        return self

    def why(self, name: str) -> list[dict[str, Any]]:
        return why(name, self.state, self.now, self.rules)["causes"]

    def one(self, name: str) -> dict[str, Any]:
        [cause] = self.why(name)
        return cause

    # --- events -------------------------------------------------------------------------------------------------------

    def accept(self, request: str = "r", **more: Any) -> InfoHistory:
        fields = {"source": "demo", "ref": "main", "revision": NEW, "units": ("packages/lib",), "accepted_at": 900.0}
        return self.apply(e.RequestAccepted(request_id=request, **{**fields, **more}))

    def job(self, event: type[e.JobEvent], job: str = "r.1", unit: str = "lib", **more: Any) -> InfoHistory:
        about = {"request_id": job.rpartition(".")[0], "source": "demo", "revision": NEW, "target": TARGET, "at": 900.0}
        return self.apply(event(job_id=job, unit=f"packages/{unit}", **{**about, **more}))

    def runner(self, name: str = "r1", *running: tuple[str, int], **more: Any) -> InfoHistory:
        attempts = tuple(e.RunningAttempt(job_id=job, attempt=attempt) for job, attempt in running)
        fields = {"arch": "x86_64", "slots": 1, "started_at": 1.0, "at": self.now, "attempts": attempts}
        return self.apply(e.RunnerSeen(runner_id=name, **{**fields, **more}))

    def built(
        self, job: str, unit: str, inputs: Inputs, artifacts: tuple[Artifact, ...] = (), **more: Any
    ) -> InfoHistory:
        """Adds a job that was queued, ran for 50 s and succeeded, long before now."""
        fields = {"revision": OLD, "input_key": OTHER_KEY, **more}
        self.job(e.JobQueued, job, unit, **{**fields, "inputs": inputs, "at": 100.0})
        self.job(e.JobRunning, job, unit, attempt=1, runner_id="r1", revision=OLD, at=110.0)
        return self.job(
            e.JobFinished, job, unit, outcome=Outcome.SUCCESS, artifacts=artifacts, **{**fields, "at": 160.0}
        )

    def finished(self, outcome: Outcome, job: str = "r.1", unit: str = "lib", **more: Any) -> InfoHistory:
        self.job(e.JobRunning, job, unit, attempt=1, runner_id="r1", at=910.0)
        return self.job(e.JobFinished, job, unit, **{"at": 990.0, "outcome": outcome, "attempt": 1, **more})


def queued(history: InfoHistory, job: str = "r.1", unit: str = "lib", **more: Any) -> InfoHistory:
    return history.job(e.JobQueued, job, unit, **{"input_key": KEY, **more})


def inputs(tree: str = "t1", *dependencies: UsedArtifact, **more: Any) -> Inputs:
    return Inputs(recipe=1, tree=tree, dependencies=dependencies, **more)


def deb(name: str, digit: str) -> Artifact:
    return factories.deb(name, digest=digit * 64)


def used(name: str, digit: str) -> UsedArtifact:
    return UsedArtifact(name=name, sha256=digit * 64, source="demo", unit=f"packages/{name}")


def unit(name: str, tree: str, *needs: str) -> Unit:
    return factories.unit(name, ", ".join(needs), path=f"packages/{name}", tree=tree)


def revised(revision: str, *units: Unit, **more: Any) -> e.SourceRevised:
    return e.SourceRevised(
        source="demo", url="/srv", branch="main", revision=revision, followed=True, units=units, **more
    )


def lines(cause: dict[str, Any], label: str) -> list[str]:
    return [line for detail in cause["details"] if detail["label"] == label for line in detail["lines"]]
