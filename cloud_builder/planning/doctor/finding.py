"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """A finding's severity: a warning works worse or not for long, an error does not work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """A finding. `check`: the part that was checked; `fix`: the command, or what else to do; empty if it is ok."""

    check: str
    level: Level
    message: str
    fix: str = ""


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.level is Level.ERROR)


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)
