"""`cb-ctl list …`: tables of sources, units, requests, jobs, runners, packages and repositories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.text import compact_duration, first_line

from .completers import SOURCES
from .lazy import LazyGroup
from .options import global_options
from .output import count_of, moment, show_json, show_table
from .request_summary import show_warnings, state_of, unit_name
from .session import session
from .source import problem_line, show_sources
from .status import show_requests
from .watch import remark

F = TypeVar("F", bound=Callable[..., Any])

_HERE = "cloud_builder.cli.lists"
TABLE = {
    "sources": (_HERE, "sources", "List the git repositories that are followed."),
    "units": (_HERE, "units", "List the units that can be built."),
    "requests": (_HERE, "requests", "List the requests, newest first."),
    "jobs": (_HERE, "jobs", "List the jobs, newest first."),
    "runners": (_HERE, "runners", "List the runners with their slots and jobs."),
    "packages": ("cloud_builder.cli.packages", "packages", "List the published packages with their versions."),
    "repositories": (_HERE, "repositories", "List the repositories to install from."),
}

most_option = click.option(
    "-n", "--most", type=click.IntRange(min=1), metavar="N", help="Show at most N rows.", default=50, show_default=True
)
source_option = click.option("--source", metavar="NAME", shell_complete=SOURCES, help="Only this source.")


@click.group("list", cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def list_group() -> None:
    """List sources, units, requests, jobs, runners, packages or repositories."""


@click.command()
@global_options
def sources() -> None:
    """List the git repositories that are followed."""
    show_sources()


def _first_problem(unit: dict[str, Any]) -> str:
    problems = unit.get("problems") or ()
    return f"broken: {problem_line({**problems[0], 'hint': ''})}" if problems else ""


def _build_states(builds: list[dict[str, Any]]) -> str:
    """Returns which targets are behind their branch, and how their newest job ended; empty: none."""
    return ", ".join(
        f"{build['target']} is behind ({build['outcome']} {build['job_id']})"
        for build in builds
        if build["state"] == "behind"
    )


def _behind_table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    cells = [
        [
            row["unit"],
            row["target"],
            row["source"],
            " ".join(row["versions"]) or "never",
            row["job_id"],
            row["outcome"],
            first_line(row["message"]),
        ]
        for row in rows
    ]
    return ["unit", "target", "source", "published", "job", "state", ""], cells


@click.command()
@source_option
@click.option("--behind", is_flag=True, help="Only units whose published build is not of the head of their branch.")
@global_options
def units(source: str | None, behind: bool) -> None:
    """List the units that can be built, with the version of their published build.

    A unit is behind its branch if that build is of another commit, because its newest job was canceled or failed, or
    was never requested."""
    with session() as mesh:
        rows = mesh.pages("units", source=source, behind=behind)
        if mesh.json:
            show_json(rows)
            return
        if behind:
            show_table(*_behind_table(rows), empty="no unit is behind its branch")
            return
        cells = [
            [
                row["path"],
                row["kind"],
                " ".join(row["targets"]),
                row["source"],
                " ".join(dict.fromkeys(version for build in row["builds"] for version in build["versions"])),
                _first_problem(row) or _build_states(row["builds"]),
            ]
            for row in rows
        ]
        show_table(
            ["unit", "kind", "targets", "source", "version", ""],
            cells,
            empty="no units: add a source with `cb-ctl source add NAME URL`",
        )


@click.command()
@source_option
@most_option
@click.option(
    "--state", type=click.Choice(["accepted", "running", "finished", "rejected"]), help="Only requests in this state."
)
@global_options
def requests(source: str | None, most: int, state: str | None) -> None:
    """List the requests, newest first."""
    with session() as mesh:
        rows = mesh.pages("requests", most=most, source=source, state=state)
        if mesh.json:
            show_json(rows)
        else:
            show_requests(rows, empty="no such requests" if source or state else "no requests yet")


@click.command()
@click.option("--request", metavar="REQUEST", help="Only this request.")
@click.option("--unit", metavar="UNIT", help="Only this unit.")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option(
    "--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only jobs with this outcome."
)
@source_option
@most_option
@global_options
def jobs(most: int, **filters: str | None) -> None:
    """List the jobs, newest first."""
    with session() as mesh:
        rows = mesh.pages("jobs", most=most, **filters)
        if mesh.json:
            show_json(rows)
            return
        cells = [
            [row["job_id"], state_of(row), unit_name(row), row["target"], row.get("runner_id"), _took(row), remark(row)]
            for row in rows
        ]
        empty = "no such jobs" if any(filters.values()) else "no jobs yet"
        show_table(["job", "state", "unit", "target", "runner", "took", ""], cells, empty=empty)


def _took(job: dict[str, Any]) -> str:
    started, finished = job.get("started_at"), job.get("finished_at")
    return compact_duration(finished - started) if started and finished else ""


@click.command()
@global_options
def runners() -> None:
    """List the runners with their slots and jobs."""
    with session() as mesh:
        rows = mesh.pages("runners")
        if mesh.json:
            show_json(rows)
            return
        cells = [
            [
                row["runner_id"],
                row["state"],
                row["arch"],
                row.get("runner_group") or "",
                f"{len(row['attempts'])}/{row['slots']}",
                " ".join(attempt["job_id"] for attempt in row["attempts"]),
                row.get("host"),
                moment(row["at"]),
                row.get("reason") or "",
            ]
            for row in rows
        ]
        columns = ["runner", "state", "arch", "group", "slots", "jobs", "host", "seen", "reason"]
        show_table(columns, cells, empty="no runners: is cb-runner running?")


@click.command()
@global_options
def repositories() -> None:
    """List the repositories to install from.

    Held builds are not published yet, kept packages are no longer made: `cb-ctl why REPOSITORY` shows the reasons."""
    with session() as mesh:
        rows = mesh.pages("repositories")
        if mesh.json:
            show_json(rows)
            return
        cells = [
            [
                row["repository"],
                row.get("packages"),
                count_of(row, "held"),
                count_of(row, "kept"),
                row.get("snapshot"),
                moment(row["at"]),
                row.get("url"),
            ]
            for row in rows
        ]
        columns = ["repository", "packages", "held", "kept", "snapshot", "published", "url"]
        show_table(columns, cells, empty="nothing is published yet")
        show_warnings(rows)
