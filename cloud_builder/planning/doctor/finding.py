"""What a check has to say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """`check`: what was looked at; `mend`: the exact command, or what else to do, where something is wrong."""

    check: str
    level: Level
    message: str
    fix: str = ""


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.level is Level.ERROR)


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)
