"""`cb-ctl plan`: shows what a request would build, and why. cb-scheduler makes the plan; nothing is built."""

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

ANSWER_TIMEOUT = 60.0
"""Seconds; reading a large tree for the first time takes some."""
MAX_ROWS = 100
SHORT_ROWS = 30
"""Rows of a plan with more than MAX_ROWS jobs: those with the most important verdicts."""
_COLUMNS = ("level", "unit", "target", "verdict", "expected", "why")
_VERDICTS = ("cannot", "build", "maybe", "reused", "unchanged")


@click.command()
@unit_options
@click.option("--all-rows", is_flag=True, help=f"Show every job, also of a plan with more than {MAX_ROWS}.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=ANSWER_TIMEOUT,
    metavar="SECONDS",
    help="Wait this long for the plan [default: 60].",
)
@global_options
def plan(*, all_rows: bool, timeout: float, **options: Any) -> int:
    """Show what `cb-ctl request` with the same arguments would build, and why. Nothing is built.

    A `maybe` job needs packages that would be built: if they turn out as before, the job is not built."""
    spec = RequestSpec(**options)
    with session() as mesh:
        requested = build_requested(mesh, spec, plan=True)
        parts = _fetch_plan(mesh, requested, timeout)
    first, jobs = parts[0], [job for part in parts for job in part.jobs]
    if mesh.json:
        body = first.model_dump(mode="json", exclude={"jobs", "part", "parts"})
        show_json({**body, "jobs": [job.model_dump(mode="json") for job in jobs]})
        return ExitCode.SUCCESS
    click.echo(f"{first.source} {first.ref} ({first.revision[:12]})\n")
    _show(jobs, whole=all_rows)
    for line in summary_lines(first.totals):
        click.echo(line)
    return ExitCode.SUCCESS


def _fetch_plan(mesh: Session, requested: BuildRequested, timeout: float) -> list[PlanDrawn]:
    """Returns all parts of the plan. Rejected with the cause when there is none, Retryable without an answer."""
    from cloud_builder.model.events import PlanDrawn, RequestFinished
    from cloud_builder.model.topics import PLAN, RESULT

    parts: dict[int, PlanDrawn] = {}
    for event in mesh.client.follow(requested, str(requested.request_id), (PLAN, RESULT), timeout):
        match event:
            case RequestFinished() if event.code != "planned":
                raise Rejected(event.message, code=event.code, hint=event.hint)
            case PlanDrawn():
                parts[event.part] = event
                if len(parts) == event.parts:
                    return [parts[number] for number in sorted(parts)]
    raise _no_answer(mesh, requested.source, timeout)


def _no_answer(mesh: Session, source: str, timeout: float) -> Retryable:
    for row in mesh.pages("sources"):
        if row["source"] == source and (trouble := row.get("trouble")):
            return Retryable(
                f"source {source} cannot be read: {trouble['message']}", code=trouble["code"], hint=trouble["hint"]
            )
    hint = "Check that cb-request and cb-scheduler are running. For a very large tree use --timeout 300."
    return Retryable(f"no plan came within {timeout:g} s", code="no-answer", hint=hint)


def _show(jobs: Sequence[PlannedJob], *, whole: bool) -> None:
    ordered = sorted(jobs, key=lambda job: (job.level, _VERDICTS.index(job.verdict), job.number))
    if whole or len(jobs) <= MAX_ROWS:
        show_table(_COLUMNS, list(_rows(ordered)))
        return
    important = sorted(jobs, key=lambda job: (_VERDICTS.index(job.verdict), not job.is_requested, job.number))[
        :SHORT_ROWS
    ]
    show_table(_COLUMNS, list(_rows(sorted(important, key=lambda job: (job.level, job.number)))))
    click.echo(f"\nand {len(jobs) - len(important)} more (--all-rows shows them):\n")
    show_table(("level", "jobs", *_VERDICTS, "expected"), list(_by_level(jobs)))


def _rows(jobs: Sequence[PlannedJob]) -> Iterator[list[str]]:
    """Yields a row for each job. Only the first row of a level shows the level."""
    last = -1
    sources = len({job.source for job in jobs}) > 1
    for job in jobs:
        round_mark = f" ({job.round})" if job.round else ""
        unit = f"{job.source}:{job.unit}{round_mark}" if sources else f"{job.unit}{round_mark}"
        why = f"{job.why} ({job.job_id})" if job.job_id and job.verdict != "build" else job.why
        yield ["" if job.level == last else str(job.level), unit, job.target, str(job.verdict), _expected(job), why]
        last = job.level


def _by_level(jobs: Sequence[PlannedJob]) -> Iterator[list[str]]:
    for level in range(max(job.level for job in jobs) + 1):
        in_level = [job for job in jobs if job.level == level]
        count = Counter(str(job.verdict) for job in in_level)
        work = sum(job.expected_seconds for job in in_level if job.verdict in ("build", "maybe"))
        yield [str(level), str(len(in_level)), *(str(count[verdict] or "") for verdict in _VERDICTS), _seconds(work)]


def _expected(job: PlannedJob) -> str:
    return (_seconds(job.expected_seconds) or "?") if job.verdict in ("build", "maybe") else ""


def _seconds(seconds: float) -> str:
    return ("<1s" if seconds < 1 else compact_duration(seconds)) if seconds else ""


def summary_lines(totals: PlanTotals) -> Iterator[str]:
    """Yields the lines below the table: the number of jobs, the time that they take, and what prevents builds."""
    yield f"\n{_counted(totals)}"
    if totals.most_work:
        slots = f"on {totals.slots} slot{'s' if totals.slots != 1 else ''}" if totals.slots else "on one slot"
        yield f"  work:           {_range(totals.work, totals.most_work)}"
        yield f"  at best:        {_range(totals.makespan, totals.most_makespan)} {slots}"
        yield f"  critical path:  {_range(totals.critical_path, totals.most_critical_path)}"
    if totals.never_built:
        yield f"  never built:    {totals.never_built} of the jobs; their time is unknown and not included"
    for cycle in totals.cycles:
        yield f"  cycle:          {first_few(cycle, 6)}"
    for stuck in totals.stuck:
        yield f"  waits:          {stuck}"


def _counted(totals: PlanTotals) -> str:
    numbers = {
        "to build": totals.build,
        "maybe": totals.maybe,
        "reused": totals.reused,
        "unchanged": totals.unchanged,
        "cannot be built": totals.cannot,
    }
    counts = ", ".join(f"{number} {word}" for word, number in numbers.items() if number)
    return f"{totals.jobs} jobs: {counts}" if totals.jobs != 1 else f"1 job: {counts}"


def _range(least: float, most: float) -> str:
    shortest, longest = _seconds(least) or "0s", _seconds(most) or "0s"
    return shortest if shortest == longest else f"{shortest} to {longest}"
