"""The errors of Cloud Builder, each named after what follows from it.

The code that raises one names the thing and the cause (`message`) and what to do next (`hint`). The code that catches
one needs only its class:

    Rejected    the input is wrong, and its author has to change it
    NotAllowed  the broker denies a right: an operator has to grant it; what was to be sent stays queued
    Permanent   the recipe failed: a new attempt would fail the same way (outcome `failure`)
    Retryable   the infrastructure failed: try again after `delay` seconds (outcome `error`)
    Fenced      another process has taken over: stop, and send nothing more
    Bug         a mistake in Cloud Builder: the user cannot fix it (outcome `error`)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all programs of Cloud Builder (doc/reference/exit-codes.md)."""

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    REJECTED = 3
    INFRASTRUCTURE = 4
    INTERRUPTED = 130


class CloudBuilderError(Exception):
    """The base class. `code` is stable and for programs; `message` and `hint` are for people."""

    exit_code: ExitCode = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).__name__.lower()
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Rejected(CloudBuilderError):
    """The input cannot be accepted as it is: an unknown name, a broken manifest, a malformed message, a bad setting."""

    exit_code = ExitCode.REJECTED


class NotAllowed(Rejected):
    """The broker denies a right. What was to be sent or read is kept until an operator grants it."""


class Permanent(CloudBuilderError):
    """The recipe failed. Never retried automatically."""

    exit_code = ExitCode.FAILED


class Retryable(CloudBuilderError):
    """The infrastructure failed. `delay`: seconds to wait before the next try."""

    exit_code = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, *, code: str = "", hint: str = "", delay: float = 1.0) -> None:
        super().__init__(message, code=code, hint=hint)
        self.delay = delay


class Fenced(CloudBuilderError):
    """Another process has taken over the role of this one; the broker rejects everything that this one sends.

    `is_certain` False: the broker refuses this process for another reason, and there may be no other."""

    def __init__(self, message: str, *, code: str = "", hint: str = "", is_certain: bool = True) -> None:
        super().__init__(message, code=code, hint=hint)
        self.is_certain = is_certain


class Bug(CloudBuilderError):
    """A mistake in Cloud Builder itself."""

    exit_code = ExitCode.INFRASTRUCTURE
