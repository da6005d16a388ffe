"""`cb-ctl doctor`: what this machine lacks, and the command that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cloud_builder.errors import ExitCode, Retryable

from .options import global_options
from .output import painted, show_json
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.model.settings import BrokerSettings, Settings
    from cloud_builder.planning.doctor import Finding

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "error": ("error", "red")}


@click.command()
@global_options
def doctor() -> int:
    """Look at this machine, and at the broker where there is one: what is missing, and the command that mends it.

    Asks as the user that runs it. Exit code 4 when there is an error; warnings change nothing."""
    from cloud_builder.planning.doctor import errors, judge
    from cloud_builder.wiring import doctor as probes
    from cloud_builder.wiring.rundir import up_of

    with session() as mesh:
        is_up = up_of(mesh.settings.home) is not None
        findings = judge(probes.whole(mesh.settings, _broker(mesh), is_up=is_up))
        if mesh.json:
            show_json([{**vars(finding), "level": str(finding.level)} for finding in findings])
        else:
            for finding in findings:
                _show(finding)
    return ExitCode.INFRASTRUCTURE if errors(findings) else ExitCode.SUCCESS


def preflight(settings: Settings, runners: int) -> None:
    """The quick part, for `up`: Retryable with all errors and what mends them."""
    from cloud_builder.planning.doctor import errors, judge
    from cloud_builder.wiring import doctor as probes

    wrong = errors(judge(probes.quick(settings, builds=runners > 0)))
    if wrong:
        message = "\n".join(dict.fromkeys(finding.message for finding in wrong))
        mends = dict.fromkeys(finding.fix for finding in wrong if finding.fix)
        hint = "\n".join([*mends, "cb-ctl doctor says more."])
        raise Retryable(message, code="machine", hint=hint)


def _broker(mesh: Session) -> BrokerSettings | None:
    """The one that was named, or of the mesh that runs; a mesh that is down has none."""
    try:
        _ = mesh.broker
    except Retryable:
        return None
    return mesh.settings.broker


def _show(finding: Finding) -> None:
    word, colour = _MARKS[finding.level]
    click.echo(f"{painted(f'{word:<8}', colour)} {finding.check:<9} {finding.message}")
    for line in finding.fix.splitlines():
        click.echo(f"{'':<18} → {line}")
