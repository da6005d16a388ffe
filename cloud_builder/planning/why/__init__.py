"""Why a job waits, is built, was not built, or failed; and why a request is not finished, or finished as it did.

    job.py               the cause of a job, in any state
    waiting.py           the cause of a job that has not started: dependency, slot, requirements, queue
    dispatch_hold.py     the cause of a job that is held: offered, isolated, or its runner is silent
    eligible_runners.py  the runners that could take a job, and what the others lack
    queue_position.py    the jobs that get a slot first, by the scheduler's own queue, and the expected start
    critical_path.py     the job that ends last among several, and what it waits for
    finished.py          the cause of a job that has finished
    input_diff.py        which inputs changed since the last success, and which push or job changed them
    request.py           the cause of a request: the summary of its jobs
    publication.py       why a build is held back, or a package is still published; a deleted unit
    cause.py             the answer: its kind, one line, details, the next step
    facts.py             jobs, requests, runners and earlier builds, and how they are looked up
    formatting.py        points in time and digests as people read them

Input: facts as values. Output: causes as values, the same in cb-info and in tests. A fact that older events did not
have is missing, not wrong: an answer states what is known, and nothing else.
"""

from .cause import Cause, CauseKind, Detail
from .facts import AttemptFacts, FactSource, JobFacts, PastBuild, PushedChanges, RequestFacts, RunnerFacts
from .job import why_job
from .request import why_request

__all__ = [
    "AttemptFacts",
    "Cause",
    "CauseKind",
    "Detail",
    "FactSource",
    "JobFacts",
    "PastBuild",
    "PushedChanges",
    "RequestFacts",
    "RunnerFacts",
    "why_job",
    "why_request",
]  # fmt: skip
