"""What of a request is new to who has looked before, and what it has made: indexes over its jobs, so that an answer
reads no more of them than it shows.

    job-change      job                         parent: request; by the number of the job's last change
    artifact-job    request/source:unit@target  parent: request, if its last job for that has artifacts; by job number
    request-target  request@target              parent: request; the targets of its jobs
    counter         job-change                  the number given last

Numbers are this cb-info's own: of another one, or of one that began anew, they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.ports.state import Document, Documents

from .documents import ARTIFACT_JOB, COUNTER, JOB_CHANGE, REQUEST_TARGET


def note(job: str, request: str, state: Documents) -> None:
    """The job's row is not what it was."""
    number = newest(state) + 1
    state.put(COUNTER, JOB_CHANGE, {"number": number})
    state.put(JOB_CHANGE, job, {"number": number}, parent=request, rank=number)


def newest(state: Documents) -> int:
    """The number of the last change of all."""
    return int((state.get(COUNTER, JOB_CHANGE) or {"number": 0})["number"])


def since(request: str, after: int, most: int, state: Documents) -> Iterator[tuple[int, str]]:
    """Numbers and jobs that changed behind that number, the oldest change first, each job once."""
    for job, body in state.find(JOB_CHANGE, parent=request, after=after, most=most):
        yield body["number"], job


def note_made(body: Document, state: Documents) -> None:
    """A job was mentioned, or has ended. Of the rounds of a dependency cycle the last one counts, whatever it made."""
    key, number, request = _key(body), number_of(body["job_id"]), body["request_id"]
    old = state.get(ARTIFACT_JOB, key)
    if old is None or old["number"] <= number:
        parent = request if body.get("artifacts") else f"{request}/nothing"
        state.put(ARTIFACT_JOB, key, {"number": number, "job": body["job_id"]}, parent=parent, rank=number)


def note_target(body: Document, state: Documents) -> None:
    request, target = body["request_id"], body["target"]["name"]
    state.put(REQUEST_TARGET, f"{request}@{target}", {"name": target}, parent=request)


def targets(request: str, state: Documents) -> list[str]:
    """By name."""
    return [body["name"] for _, body in state.find(REQUEST_TARGET, parent=request)]


def made(request: str, after: int, most: int, state: Documents) -> Iterator[tuple[int, str]]:
    """Numbers and ids of the jobs, behind that number, whose files are what the request has made."""
    for _, body in state.find(ARTIFACT_JOB, parent=request, after=after, most=most):
        yield body["number"], body["job"]


def complete(request: str, state: Documents) -> None:
    """Notes the jobs that were read before there were these indexes."""
    if state.count(JOB_CHANGE, parent=request) < state.count("job", parent=request):
        for job, body in state.find("job", parent=request):
            if state.get(JOB_CHANGE, job) is None:
                note(job, request, state)
                note_made(body, state)
                note_target(body, state)


def remove(body: Document, state: Documents) -> None:
    """A job is gone, and soon its request."""
    state.delete(JOB_CHANGE, body["job_id"])
    state.delete(ARTIFACT_JOB, _key(body))
    state.delete(REQUEST_TARGET, f"{body['request_id']}@{body['target']['name']}")


def number_of(job: str) -> int:
    """A job's place in its request (model.ids.job_id)."""
    last = job.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def _key(body: Document) -> str:
    return f"{body['request_id']}/{body['source']}:{body['unit']}@{body['target']['name']}"
