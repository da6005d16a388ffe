"""Why a job waits, is built, was not built, or failed; and why a request has not ended, or ended so.

    facts.py     what is known of jobs, requests, runners and earlier builds, and how it is asked for
    cause.py     the answer: its kind, one line, details, the next step
    job.py       the cause of a job, in whatever state it is
    differ.py    which inputs changed since the last success, and who changed them
    waiting.py   a job that has not begun: which dependency, slot, constraint, who is ahead
    held.py      one that is not handed out for another reason than its turn: offered, suspected
    pool.py      the runners that could take a job, and what the others lack
    ahead.py     who gets a slot first, by the scheduler's own order, and when the job may expect one
    pole.py      of several things that are waited for, the one that ends last; down to what it waits for itself
    ended.py     a job that has ended
    request.py   the sum of a request's jobs
    words.py     durations, sizes and digests as people read them

Facts come in as values and answers go out as values: the same causes are found in cb-info and in tests. A fact that
older events did not tell is missing, not wrong: each answer says what is known, and never more.
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
