"""Jobs, runners and reports to make decisions about; what a test does not name is ordinary."""

from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.outcome import JobState, Kind, Outcome
from cloud_builder.model.unit import Target
from cloud_builder.planning.records import JobRecord, RunnerRecord


def job(number: int = 1, **more) -> JobRecord:
    """Waits for a slot."""
    fields = {
        "job_id": f"r.{number}",
        "request_id": "r",
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
        "target": Target(name="bookworm.x86_64", dist="bookworm", arch="x86_64"),
        "state": JobState.QUEUED,
        "input_key": "k",
    }
    return JobRecord(**{**fields, **more})


def runner(name: str = "r1", *, slots: int = 1, arch: str = "x86_64", group: str = "", held=(), **more) -> RunnerRecord:
    """`held`: attempts, as (job id, number)."""
    fields = {"runner_id": name, "runner_group": group, "arch": arch, "slots": slots, "attempts": frozenset(held)}
    return RunnerRecord(**{"started_at": 1, "last_seen": 1, **fields, **more})


def report(job: JobRecord, outcome: Outcome, **more) -> AttemptFinished:
    """Of the current attempt."""
    ended = {"job_id": job.job_id, "attempt": job.attempt, "runner_id": job.runner_id, "outcome": outcome}
    return AttemptFinished(**{"started_at": 1, "finished_at": 2, **ended, **more})
