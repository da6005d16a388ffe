"""The errors of Cloud Builder, named after their consequence.

Whoever raises one of these says what went wrong (the thing and the cause), and what to do next (the hint).
Whoever catches one needs only its class to know what follows:

    Rejected    the wish cannot be accepted as it is; the person who made it must change it
    NotAllowed  the broker says that we may not: somebody must allow it; what was to be said stays to be said
    Permanent   the recipe said no; trying again gives the same answer (outcome `failure`)
    Retryable   something around us is unwell; try again after `delay` seconds (outcome `error`)
    Fenced      another process has our place: stop, and say nothing more
    Bug         we are wrong; nothing the user can change (outcome `error`, and a report to us)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What every program of Cloud Builder tells its caller (documented in doc/reference/exit-codes.md)."""

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    REJECTED = 3
    INFRASTRUCTURE = 4
    INTERRUPTED = 130


class CloudBuilderError(Exception):
    """Base of all errors. `code` is stable and made for machines, `message` and `hint` for people."""

    exit_code: ExitCode = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).__name__.lower()
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Rejected(CloudBuilderError):
    """The wish cannot be accepted as it is: unknown name, broken manifest, malformed message."""

    exit_code = ExitCode.REJECTED


class NotAllowed(Rejected):
    """We lack a right on the broker. Nothing is wrong with what was to be sent or read: it waits until we may."""


class Permanent(CloudBuilderError):
    """The recipe said no. Never retried by itself."""

    exit_code = ExitCode.FAILED


class Retryable(CloudBuilderError):
    """The infrastructure said no. `delay`: seconds to wait before the next try."""

    exit_code = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, *, code: str = "", hint: str = "", delay: float = 1.0) -> None:
        super().__init__(message, code=code, hint=hint)
        self.delay = delay


class Fenced(CloudBuilderError):
    """Another process has taken the place of this one, and nothing that this one says is taken any more.

    `is_certain` False: the broker has forgotten us for another reason, and the place may be free."""

    def __init__(self, message: str, *, code: str = "", hint: str = "", is_certain: bool = True) -> None:
        super().__init__(message, code=code, hint=hint)
        self.is_certain = is_certain


class Bug(CloudBuilderError):
    """Our own mistake."""

    exit_code = ExitCode.INFRASTRUCTURE
