"""Indexes over a request's jobs: by time of last change, and by artifacts.

They let `cb-ctl watch` and `cb-ctl get` read only the rows that they show.

    collection      key                         parent, rank and content
    job-change      job                         parent: request; by the number of the job's last change
    artifact-job    request/source:unit@target  parent: request, if its last job for that has artifacts; by job number
    request-target  request@target              parent: request; the targets of its jobs
    counter         job-change                  the number of the last change

The numbers are valid only for the cb-info that gave them, until its state is built anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.ids import job_number
from cloud_builder.ports.state import Document, Documents

from .documents import ARTIFACT_JOB, COUNTER, JOB_CHANGE, REQUEST_TARGET


def note(job: str, request: str, state: Documents) -> None:
    """Notes that a job's row has changed."""
    number = newest(state) + 1
    state.put(COUNTER, JOB_CHANGE, {"number": number})
    state.put(JOB_CHANGE, job, {"number": number}, parent=request, rank=number)


def newest(state: Documents) -> int:
    """Returns the number of the last change of any job."""
    return int((state.get(COUNTER, JOB_CHANGE) or {"number": 0})["number"])


def since(request: str, after: int, most: int, state: Documents) -> Iterator[tuple[int, str]]:
    """Yields the jobs that changed after that number, each once, with its number; the oldest change first."""
    for job, body in state.find(JOB_CHANGE, parent=request, after=after, most=most):
        yield body["number"], job


def note_artifacts(body: Document, state: Documents) -> None:
    """Notes a new or finished job. Of the rounds of a dependency cycle the last one counts, even without artifacts."""
    key, number, request = _key(body), job_number(body["job_id"]), body["request_id"]
    old = state.get(ARTIFACT_JOB, key)
    if old is None or old["number"] <= number:
        parent = request if body.get("artifacts") else f"{request}/nothing"
        state.put(ARTIFACT_JOB, key, {"number": number, "job": body["job_id"]}, parent=parent, rank=number)


def note_target(body: Document, state: Documents) -> None:
    """Notes the target of a job."""
    request, target = body["request_id"], body["target"]["name"]
    state.put(REQUEST_TARGET, f"{request}@{target}", {"name": target}, parent=request)


def targets(request: str, state: Documents) -> list[str]:
    """Returns the targets of a request's jobs, sorted."""
    return [body["name"] for _, body in state.find(REQUEST_TARGET, parent=request)]


def jobs_with_artifacts(request: str, after: int, most: int, state: Documents) -> Iterator[tuple[int, str]]:
    """Yields the jobs with the request's artifacts, after that job number, each with its number."""
    for _, body in state.find(ARTIFACT_JOB, parent=request, after=after, most=most):
        yield body["number"], body["job"]


def remove(body: Document, state: Documents) -> None:
    """Removes a deleted job; its request is deleted next."""
    state.delete(JOB_CHANGE, body["job_id"])
    state.delete(ARTIFACT_JOB, _key(body))
    state.delete(REQUEST_TARGET, f"{body['request_id']}@{body['target']['name']}")


def _key(body: Document) -> str:
    return f"{body['request_id']}/{body['source']}:{body['unit']}@{body['target']['name']}"
