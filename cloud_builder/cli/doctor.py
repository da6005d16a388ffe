"""`cb-ctl doctor`: shows what this machine lacks, and the command that fixes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cloud_builder.errors import ExitCode, Rejected, Retryable

from .options import global_options
from .output import count_of, painted, show_json
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.model.settings import BrokerSettings, Settings
    from cloud_builder.planning.doctor import Finding, RepositoryFacts

QUERY_TIMEOUT = 5.0
"""Seconds to wait for cb-info; without an answer the repositories are not checked."""
_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "error": ("error", "red")}


@click.command()
@global_options
def doctor() -> int:
    """Check this machine, and its broker and repositories if a mesh runs. Show what is missing, and the command that
    fixes it.

    The checks run with the rights of the current user. Exit code 4 if there is an error; a warning does not count."""
    from cloud_builder.planning.doctor import errors, judge
    from cloud_builder.wiring import doctor as probes
    from cloud_builder.wiring.rundir import running_mesh

    with session() as mesh:
        is_up = running_mesh(mesh.settings.home) is not None
        facts = probes.all_facts(mesh.settings, _broker(mesh), is_up=is_up)
        findings = judge(replace(facts, repositories=_repositories(mesh)))
        if mesh.json:
            show_json([{**vars(finding), "level": str(finding.level)} for finding in findings])
        else:
            for finding in findings:
                _show(finding)
    return ExitCode.INFRASTRUCTURE if errors(findings) else ExitCode.SUCCESS


def preflight(settings: Settings, runners: int) -> None:
    """Runs the quick checks, for `up`. Retryable with all errors and the commands that fix them."""
    from cloud_builder.planning.doctor import errors, judge
    from cloud_builder.wiring import doctor as probes

    found = errors(judge(probes.quick_facts(settings, builds=runners > 0)))
    if found:
        message = "\n".join(dict.fromkeys(finding.message for finding in found))
        fixes = dict.fromkeys(finding.fix for finding in found if finding.fix)
        hint = "\n".join([*fixes, "`cb-ctl doctor` shows more."])
        raise Retryable(message, code="machine", hint=hint)


def _broker(mesh: Session) -> BrokerSettings | None:
    """Returns the broker that was named, or that of the running mesh; None while the mesh is down."""
    try:
        _ = mesh.broker
    except Retryable:
        return None
    return mesh.settings.broker


def _repositories(mesh: Session) -> tuple[RepositoryFacts, ...]:
    """Returns the repositories of the running mesh; none while it is down, or does not answer."""
    from cloud_builder.planning.doctor import RepositoryFacts

    try:
        rows = mesh.query("repositories", QUERY_TIMEOUT)["items"]
    except (Retryable, Rejected):
        return ()
    return tuple(
        RepositoryFacts(row["repository"], *(count_of(row, name) for name in ("held", "kept"))) for row in rows
    )


def _show(finding: Finding) -> None:
    mark, colour = _MARKS[finding.level]
    click.echo(f"{painted(f'{mark:<8}', colour)} {finding.check:<9} {finding.message}")
    for line in finding.fix.splitlines():
        click.echo(f"{'':<18} → {line}")
