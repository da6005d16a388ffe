"""`cb-ctl get`: downloads and verifies the artifacts of a job or a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.ids import job_number
from cloud_builder.model.text import size

from .completers import THINGS, target_option
from .download import download
from .options import global_options
from .output import show_json
from .request_poller import check_target, whole_jobs
from .session import Session, session


@click.command()
@click.argument("what", metavar="JOB|REQUEST", shell_complete=THINGS)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Directory for the files [default: here].",
)
@click.option("--logs", "with_logs", is_flag=True, help="Download the logs, too.")
@target_option
@global_options
def get(what: str, output: Path, with_logs: bool, target: str) -> None:
    """Download the artifacts of a JOB, or of all jobs of a REQUEST, and verify the sha256 of each file.

    A request for several targets gets a directory for each target."""
    with session() as mesh:
        jobs, targets = _jobs(mesh, what, with_logs, target)
        files = _files_to_get(jobs, output, with_logs, several=len(targets) > 1)
        if not files:
            raise Rejected(
                f"{what}: no artifact was built", code="no-artifacts", hint=f"`cb-ctl status {what}` shows the state."
            )
        downloaded = []
        for artifact, directory in files:
            path = _download(artifact, directory)
            downloaded.append({"path": str(path), "sha256": artifact["sha256"], "size": artifact["size"]})
            if not mesh.json:
                click.echo(f"{path}  {size(artifact['size'])}")
        if mesh.json:
            show_json(downloaded)


def _download(artifact: dict[str, Any], directory: Path) -> Path:
    try:
        return download(artifact, directory)
    except OSError as error:
        message = f"{directory}: {artifact['name']} cannot be written there: {error.strerror or error}"
        raise Retryable(message, code="cannot-write", hint="Choose another directory with -o DIR.") from error


def _jobs(mesh: Session, what: str, with_logs: bool, target: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the jobs that can have files, and the targets to make directories for. Every job can have a log."""
    found = mesh.query("resolve", id=what, target=target)
    if found["kind"] == "job":
        return [mesh.query("job", job=found["id"], target=target)], []
    jobs = last_rounds(whole_jobs(mesh, "changes" if with_logs else "artifacts", found["id"]))
    targets = mesh.query("artifacts", request=found["id"], most=1)["targets"]
    if target:
        check_target(f"request {found['id']}", target, targets)
        return [job for job in jobs if job["target"] == target], []
    return jobs, targets


def last_rounds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the last job of each unit and target.

    A member of a dependency cycle has a job for each round; only the last one has the result of the request."""
    rows = sorted(rows, key=lambda row: job_number(row["job_id"]))
    return list({(row["source"], row["unit"], row["target"]): row for row in rows}.values())


def _files_to_get(
    jobs: list[dict[str, Any]], output: Path, with_logs: bool, *, several: bool
) -> list[tuple[dict[str, Any], Path]]:
    """Returns each file once, with its directory: by target if there are `several`, by unit if names would clash."""
    files = [(job, artifact) for job in jobs for artifact in _files(job, with_logs)]
    digests: dict[tuple[str, str], set[str]] = {}
    for job, artifact in files:
        digests.setdefault((job["target"], artifact["name"]), set()).add(artifact["sha256"])
    found: dict[Path, tuple[dict[str, Any], Path]] = {}
    for job, artifact in files:
        directory = output / job["target"] if several else output
        if len(digests[(job["target"], artifact["name"])]) > 1:
            directory = directory / job["unit"].rsplit("/", 1)[-1]
        found[directory / artifact["name"]] = (artifact, directory)
    return list(found.values())


def _files(job: dict[str, Any], with_logs: bool) -> list[dict[str, Any]]:
    return [*job["artifacts"], *([job["log"]] if with_logs and job["log"] else [])]
