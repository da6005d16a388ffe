"""`cb-ctl get`: what was built, downloaded and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.text import size

from .completers import THINGS
from .download import download
from .options import global_options
from .output import show_json
from .request_poller import number_of, whole_jobs
from .session import Session, session


@click.command()
@click.argument("what", metavar="JOB|REQUEST", shell_complete=THINGS)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to [here]."
)
@click.option("--logs", "with_logs", is_flag=True, help="The logs, too.")
@global_options
def get(what: str, output: Path, with_logs: bool) -> None:
    """Download what a JOB or all jobs of a REQUEST have built, and verify each file's sha256.

    Files of a request for several targets go into a directory a target."""
    with session() as mesh:
        jobs, targets = _jobs(mesh, what, with_logs)
        wanted = _wanted(jobs, output, with_logs, several=len(targets) > 1)
        if not wanted:
            raise Rejected(
                f"{what}: nothing was built", code="no-artifacts", hint=f"cb-ctl status {what} tells what became of it."
            )
        got = []
        for artifact, directory in wanted:
            path = _download(artifact, directory)
            got.append({"path": str(path), "sha256": artifact["sha256"], "size": artifact["size"]})
            if not mesh.json:
                click.echo(f"{path}  {size(artifact['size'])}")
        if mesh.json:
            show_json(got)


def _download(artifact: dict[str, Any], directory: Path) -> Path:
    try:
        return download(artifact, directory)
    except OSError as no:
        message = f"{directory}: {artifact['name']} cannot be written there: {no.strerror or no}"
        raise Retryable(message, code="cannot-write", hint="Choose another directory with -o DIR.") from no


def _jobs(mesh: Session, what: str, with_logs: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Jobs that may have left something behind, and the targets of all there are. With the logs that is every job."""
    found = mesh.ask("resolve", id=what)
    if found["kind"] == "job":
        return [mesh.ask("job", job=found["id"])], []
    if with_logs:
        jobs = whole_jobs(mesh, "changes", found["id"])
        return last_rounds(jobs), list({job["target"] for job in jobs})
    targets = mesh.ask("made", request=found["id"], most=1)["targets"]
    return whole_jobs(mesh, "made", found["id"]), targets


def last_rounds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Members of a dependency cycle have a job a round; only the last one is what the request has made."""
    rows = sorted(rows, key=lambda row: number_of(row["job_id"]))
    return list({(row["source"], row["unit"], row["target"]): row for row in rows}.values())


def _wanted(
    jobs: list[dict[str, Any]], output: Path, with_logs: bool, *, several: bool
) -> list[tuple[dict[str, Any], Path]]:
    """Each file once, with its directory: by target when there are `several`, by unit when names would clash."""
    files = [(job, artifact) for job in jobs for artifact in _files(job, with_logs)]
    digests: dict[tuple[str, str], set[str]] = {}
    for job, artifact in files:
        digests.setdefault((job["target"], artifact["name"]), set()).add(artifact["sha256"])
    wanted: dict[Path, tuple[dict[str, Any], Path]] = {}
    for job, artifact in files:
        directory = output / job["target"] if several else output
        if len(digests[(job["target"], artifact["name"])]) > 1:
            directory = directory / job["unit"].rsplit("/", 1)[-1]
        wanted[directory / artifact["name"]] = (artifact, directory)
    return list(wanted.values())


def _files(job: dict[str, Any], with_logs: bool) -> list[dict[str, Any]]:
    return [*job["artifacts"], *([job["log"]] if with_logs and job["log"] else [])]
