"""Reads a request and its jobs again and again: all rows once, then only those that have changed (view `changes`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import job_number
from cloud_builder.model.nearest import did_you_mean

from .session import Session

Job = dict[str, Any]

_MAX_REREAD = 100
"""Rows that a query reads again although they have not changed."""


@dataclass
class RequestView:
    """A request and all of its jobs at one moment, by number. `changed`: the jobs that differ from the last view."""

    request: dict[str, Any]
    jobs: list[Job] = field(default_factory=list)
    changed: list[Job] = field(default_factory=list)

    @property
    def has_finished(self) -> bool:
        return self.request["state"] in ("finished", "rejected")


class RequestPoller:
    """A reader of one request.

    A job that others wait for finishes without an event of the waiting jobs, so cb-info does not report their rows as
    changed. The poller updates them itself. It reads a row again when all jobs that the row names have finished and
    the job still waits, because a row names only the first ones."""

    def __init__(self, mesh: Session, name: str) -> None:
        self._mesh, self._name = mesh, name
        self._after = 0
        self._jobs: dict[str, Job] = {}
        self._waiters: dict[str, set[str]] = defaultdict(set)
        self._changed: dict[str, None] = {}
        self._stale: dict[str, None] = {}

    def poll(self) -> RequestView:
        """Returns the current view. Retryable when cb-info does not answer; no change is lost to the next call."""
        while True:
            again = list(self._stale)[:_MAX_REREAD]
            found = self._mesh.query("changes", request=self._name, most=1000, after=self._after, again=again)
            self._after = found["after"]
            for job in again:
                self._stale.pop(job)
            self._apply([*found["items"], *found["again"]])
            if not found["more"]:
                break
        changed, self._changed = sorted(self._changed, key=job_number), {}
        return RequestView(found["request"], list(self._jobs.values()), [self._jobs[job] for job in changed])

    def _apply(self, rows: list[Job]) -> None:
        has_new = any(row["job_id"] not in self._jobs for row in rows)
        for row in rows:
            self._jobs[row["job_id"]] = row
            self._changed[row["job_id"]] = None
            for needed in row.get("waiting_for") or ():
                self._waiters[needed].add(row["job_id"])
        if has_new:
            self._jobs = dict(sorted(self._jobs.items(), key=lambda item: job_number(item[0])))
        for row in rows:
            for waiter in self._waiters.pop(row["job_id"], ()) if row.get("outcome") else ():
                self._stop_waiting(waiter, row["job_id"])

    def _stop_waiting(self, waiter: str, finished: str) -> None:
        """Removes a finished job from the row of a job that waited for it."""
        row = self._jobs[waiter]
        if row["state"] != "blocked" or finished not in row["waiting_for"]:
            return
        left = [job for job in row["waiting_for"] if job != finished]
        units = [self._jobs[job]["unit"] for job in left if job in self._jobs]
        self._jobs[waiter] = {**row, "waiting_for": left, "waiting_units": units}
        if not left:
            self._stale[waiter] = None


def of_target(jobs: list[Job], request: str, target: str) -> list[Job]:
    """Returns the jobs for a target (empty: all). Raises Rejected with the nearest target if there are none."""
    if jobs and target:
        check_target(f"request {request}", target, {str(job["target"]) for job in jobs})
    return [job for job in jobs if target in ("", job["target"])]


def check_target(what: str, target: str, targets: Collection[str]) -> None:
    """Raises Rejected with the nearest target unless `target` is one of them."""
    if target not in targets:
        message = f"{what}: no job for target {target!r}"
        raise Rejected(message, code="unknown-target", hint=did_you_mean(target, targets))


def whole_jobs(mesh: Session, view: str, request: str) -> list[Job]:
    """Returns full rows of a request's jobs, by number: all (view `changes`), or with files (view `artifacts`)."""
    rows = {row["job_id"]: row for row in _pages(mesh, view, request)}
    return sorted(rows.values(), key=lambda row: job_number(row["job_id"]))


def _pages(mesh: Session, view: str, request: str) -> Iterator[Job]:
    after, more = 0, True
    while more:
        found = mesh.query(view, request=request, most=1000, after=after, full=True)
        yield from found["items"]
        after, more = found["after"], found["more"]
