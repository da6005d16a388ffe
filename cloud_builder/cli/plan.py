"""`cb-ctl plan`: what a request would build and why, without building it. One question, answered by cb-scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode, Rejected, Retryable
from cloud_builder.model.text import compact_duration, first_few

from .options import global_options
from .output import show_json, show_table
from .request_options import RequestSpec, build_requested, unit_options
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.model.events import BuildRequested, PlanDrawn, PlannedJob, PlanTotals

WITHIN = 60.0
"""Seconds: a large tree that was never looked at takes some."""
MOST_ROWS = 100
SHOWN_ROWS = 30
"""Of a plan with more than MOST_ROWS: those that say most."""
_COLUMNS = ("level", "unit", "target", "verdict", "expected", "why")
_TELLING = ("cannot", "build", "maybe", "reused", "unchanged")


@click.command()
@unit_options
@click.option("--all-rows", is_flag=True, help=f"Every job, also of a plan with more than {MOST_ROWS}.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=WITHIN, metavar="SECONDS", help="Wait so long [60].")
@global_options
def plan(*, all_rows: bool, timeout: float, **said: Any) -> int:
    """Say what `cb-ctl request` with the same words would build, and why. Nothing is built.

    A job that is `maybe` builds with something that would be built: if that comes out as it was, it is not touched."""
    words = RequestSpec(**said)
    with session() as mesh:
        wanted = build_requested(mesh, words, plan=True)
        drawn = _fetch_plan(mesh, wanted, timeout)
    first, jobs = drawn[0], [job for part in drawn for job in part.jobs]
    if mesh.json:
        body = first.model_dump(mode="json", exclude={"jobs", "part", "parts"})
        show_json({**body, "jobs": [job.model_dump(mode="json") for job in jobs]})
        return ExitCode.SUCCESS
    click.echo(f"{first.source} {first.ref} ({first.revision[:12]})\n")
    _show(jobs, whole=all_rows)
    for line in summary_lines(first.totals):
        click.echo(line)
    return ExitCode.SUCCESS


def _fetch_plan(mesh: Session, wanted: BuildRequested, timeout: float) -> list[PlanDrawn]:
    """All parts of the plan. Rejected with its cause when there is none, Retryable when nobody says anything."""
    from cloud_builder.model.events import PlanDrawn, RequestFinished
    from cloud_builder.model.topics import PLAN, RESULT

    parts: dict[int, PlanDrawn] = {}
    for heard in mesh.client.follow(wanted, str(wanted.request_id), (PLAN, RESULT), timeout):
        match heard:
            case RequestFinished() if heard.code != "planned":
                raise Rejected(heard.message, code=heard.code, hint=heard.hint)
            case PlanDrawn():
                parts[heard.part] = heard
                if len(parts) == heard.parts:
                    return [parts[number] for number in sorted(parts)]
    raise _silent(mesh, wanted.source, timeout)


def _silent(mesh: Session, source: str, timeout: float) -> Retryable:
    for row in mesh.pages("sources"):
        if row["source"] == source and (trouble := row.get("trouble")):
            return Retryable(
                f"source {source} cannot be read: {trouble['message']}", code=trouble["code"], hint=trouble["hint"]
            )
    hint = "Are cb-request and cb-scheduler running? `cb-ctl status` tells. For a very large tree: --timeout 300."
    return Retryable(f"no plan came within {timeout:g} s", code="no-answer", hint=hint)


def _show(jobs: Sequence[PlannedJob], *, whole: bool) -> None:
    ordered = sorted(jobs, key=lambda job: (job.level, _TELLING.index(job.verdict), job.number))
    if whole or len(jobs) <= MOST_ROWS:
        show_table(_COLUMNS, list(_rows(ordered)))
        return
    telling = sorted(jobs, key=lambda job: (_TELLING.index(job.verdict), not job.is_requested, job.number))[:SHOWN_ROWS]
    show_table(_COLUMNS, list(_rows(sorted(telling, key=lambda job: (job.level, job.number)))))
    click.echo(f"\nand {len(jobs) - len(telling)} more (--all-rows shows them):\n")
    show_table(("level", "jobs", *_TELLING, "expected"), list(_by_order(jobs)))


def _rows(jobs: Sequence[PlannedJob]) -> Iterator[list[str]]:
    """Their order is told once for all that have it."""
    last = -1
    sources = len({job.source for job in jobs}) > 1
    for job in jobs:
        turn = f" ({job.round})" if job.round else ""
        unit = f"{job.source}:{job.unit}{turn}" if sources else f"{job.unit}{turn}"
        why = f"{job.why} ({job.job_id})" if job.job_id and job.verdict != "build" else job.why
        yield ["" if job.level == last else str(job.level), unit, job.target, str(job.verdict), _took(job), why]
        last = job.level


def _by_order(jobs: Sequence[PlannedJob]) -> Iterator[list[str]]:
    for order in range(max(job.level for job in jobs) + 1):
        ours = [job for job in jobs if job.level == order]
        count = Counter(str(job.verdict) for job in ours)
        work = sum(job.expected_seconds for job in ours if job.verdict in ("build", "maybe"))
        yield [str(order), str(len(ours)), *(str(count[verdict] or "") for verdict in _TELLING), _seconds(work)]


def _took(job: PlannedJob) -> str:
    return (_seconds(job.expected_seconds) or "?") if job.verdict in ("build", "maybe") else ""


def _seconds(seconds: float) -> str:
    return ("<1s" if seconds < 1 else compact_duration(seconds)) if seconds else ""


def summary_lines(totals: PlanTotals) -> Iterator[str]:
    """The lines below the table: how much, how long at best, and what is in the way."""
    yield f"\n{_counted(totals)}"
    if totals.most_work:
        slots = f"on {totals.slots} slot{'s' if totals.slots != 1 else ''}" if totals.slots else "on one slot"
        yield f"  work:      {_range(totals.work, totals.most_work)}"
        yield f"  at best:   {_range(totals.makespan, totals.most_makespan)} {slots}"
        yield f"  chain:     {_range(totals.critical_path, totals.most_critical_path)} of jobs that wait for each other"
    if totals.never_built:
        yield f"  unknown:   {totals.never_built} were never built; how long they take is in none of these"
    for cycle in totals.cycles:
        yield f"  cycle:     {first_few(cycle, 6)}"
    for stuck in totals.stuck:
        yield f"  waits:     {stuck}"


def _counted(totals: PlanTotals) -> str:
    numbers = {
        "to build": totals.build,
        "maybe": totals.maybe,
        "reused": totals.reused,
        "unchanged": totals.unchanged,
        "cannot be built": totals.cannot,
    }
    said = ", ".join(f"{number} {word}" for word, number in numbers.items() if number)
    return f"{totals.jobs} jobs: {said}" if totals.jobs != 1 else f"1 job: {said}"


def _range(least: float, most: float) -> str:
    shortest, longest = _seconds(least) or "0s", _seconds(most) or "0s"
    return shortest if shortest == longest else f"{shortest} to {longest}"
