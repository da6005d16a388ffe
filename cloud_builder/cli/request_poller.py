"""A request and its jobs as they go: read once, and from then on only what has changed (the view `changes`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .session import Session

Job = dict[str, Any]

MOST_AGAIN = 100


@dataclass
class RequestView:
    """A request and all its jobs at one moment. `news`: those that were not so at the last look. Both by number."""

    request: dict[str, Any]
    jobs: list[Job] = field(default_factory=list)
    changed: list[Job] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.request["state"] in ("finished", "rejected")


class RequestPoller:
    """Looks at a request again and again. What a job waits for ends without a word about the job itself, so its row is
    brought up to date here, and asked for again when all that it named has ended and it waits still."""

    def __init__(self, mesh: Session, name: str) -> None:
        self._mesh, self._name = mesh, name
        self._after = 0
        self._jobs: dict[str, Job] = {}
        self._waiters: dict[str, set[str]] = defaultdict(set)
        self._news: dict[str, None] = {}
        self._unclear: dict[str, None] = {}

    def poll(self) -> RequestView:
        """Retryable when cb-info does not answer: what was read before that is not lost."""
        while True:
            again = list(self._unclear)[:MOST_AGAIN]
            found = self._mesh.ask("changes", request=self._name, most=1000, after=self._after, again=again)
            self._after = found["after"]
            for job in again:
                self._unclear.pop(job)
            self._take([*found["items"], *found["again"]])
            if not found["more"]:
                break
        news, self._news = sorted(self._news, key=number_of), {}
        return RequestView(found["request"], list(self._jobs.values()), [self._jobs[job] for job in news])

    def _take(self, rows: list[Job]) -> None:
        is_longer = any(row["job_id"] not in self._jobs for row in rows)
        for row in rows:
            self._jobs[row["job_id"]] = row
            self._news[row["job_id"]] = None
            for other in row.get("waiting_for") or ():
                self._waiters[other].add(row["job_id"])
        if is_longer:
            self._jobs = dict(sorted(self._jobs.items(), key=lambda item: number_of(item[0])))
        for row in rows:
            for waiter in self._waiters.pop(row["job_id"], ()) if row.get("outcome") else ():
                self._waits_less(waiter, row["job_id"])

    def _waits_less(self, waiter: str, ended: str) -> None:
        row = self._jobs[waiter]
        if row["state"] != "blocked" or ended not in row["waiting_for"]:
            return
        left = [job for job in row["waiting_for"] if job != ended]
        units = [self._jobs[job]["unit"] for job in left if job in self._jobs]
        self._jobs[waiter] = {**row, "waiting_for": left, "waiting_units": units}
        if not left:
            self._unclear[waiter] = None


def whole_jobs(mesh: Session, view: str, request: str) -> list[Job]:
    """All jobs of a request (`view`: changes), or those that it has made something by (made), in full, by number."""
    rows = {row["job_id"]: row for row in _pages(mesh, view, request)}
    return sorted(rows.values(), key=lambda row: number_of(row["job_id"]))


def _pages(mesh: Session, view: str, request: str) -> Iterator[Job]:
    after, more = 0, True
    while more:
        found = mesh.ask(view, request=request, most=1000, after=after, full=True)
        yield from found["items"]
        after, more = found["after"], found["more"]


def number_of(job: str) -> tuple[int, str]:
    """Sorts the ids of a request's jobs by the number at their end."""
    return len(job), job
