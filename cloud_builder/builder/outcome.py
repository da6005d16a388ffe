"""An error or a program's result → outcome of the build, with the cause and the next step. Pure functions.

failure    the source or a limit is the cause; building it again gives the same
error      the machine, the network or Cloud Builder is the cause; the job is tried again
canceled   `cancel` was set
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloud_builder.errors import CloudBuilderError, Permanent, Rejected, Retryable
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.text import first_line
from cloud_builder.ports.recipe import PackageSource
from cloud_builder.ports.sandbox import EndReason, RunResult

from .build_log import BuildLog, Canceled

MAX_LINES = 6
"""Lines of the log in a message."""
_KILLED = -9
_EXPLANATIONS = (
    (
        r"Cannot allocate memory|MemoryError|bad_alloc|[Oo]ut of memory|memory exhausted",
        "All programs of a build together get {memory} MiB (the limit `memory`), and the machine may have less.",
    ),
    (
        r"LeakSanitizer",
        "Leak detection traces the program (ptrace), which builds may not do: set ASAN_OPTIONS=detect_leaks=0.",
    ),
    (
        r"[Cc]annot fork|fork: .*Resource temporarily|can't start new thread|Resource temporarily unavailable",
        "A build may have {limits.processes} processes and threads (the limit `processes`).",
    ),
    (
        r"Network is unreachable|name resolution|[Cc]ould not resolve|Name or service not known",
        "Builds have no network: add what the build downloads to the source or to Build-Depends.",
    ),
)


@dataclass(frozen=True)
class BuildOutcome:
    """The end of a build and its reason. `message`: the first line alone names the step or package, and the cause."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    hint: str = ""


SUCCESS = BuildOutcome(Outcome.SUCCESS)
CANCELED = BuildOutcome(Outcome.CANCELED, "canceled", "canceled")


def outcome_of_error(error: Exception, *, canceled: bool) -> BuildOutcome:
    """Returns the outcome of a build that raised `error`. `canceled`: the error is a consequence of the cancel."""
    if canceled or isinstance(error, Canceled):
        return CANCELED
    match error:
        case Permanent() | Rejected():
            return BuildOutcome(Outcome.FAILURE, error.code, error.message, error.hint)
        case CloudBuilderError():
            return BuildOutcome(Outcome.ERROR, error.code, error.message, error.hint)
        case OSError():
            prefix = f"{error.filename}: " if error.filename else ""
            message = f"{prefix}{error.strerror or error}"
            return BuildOutcome(
                Outcome.ERROR, "machine", message, "Check that the runner's disk is mounted and has room."
            )
    hint = "This is a bug of Cloud Builder, not of the source: please report it with the log."
    return BuildOutcome(Outcome.ERROR, "bug", f"{type(error).__name__}: {error}", hint)


def raise_for_result(result: RunResult, step: str, limits: Limits) -> None:
    """Raises when the program did not end by itself, or failed for a reason outside of the build.

    Permanent: a limit was reached, or the build killed itself. Retryable: memory or disk of the machine was exhausted.
    Returns when the program ended by itself, with any exit status."""
    match result.ended_by:
        case EndReason.ITSELF:
            if result.host_out_of_memory and result.status != 0:
                hint = "Give the machine more memory, the runner fewer slots, or builds a lower limit `memory`."
                raise Retryable(f"{step}: the runner's machine ran out of memory", code="machine-memory", hint=hint)
            if result.disk_was_full and result.status != 0:
                raise _disk_full(step)
            if result.status == _KILLED:
                hint = "Neither a limit nor the machine's memory was the cause. Does the build run `kill -9 -1`?"
                message = f"{step}: the build was killed by SIGKILL, and not by the runner"
                raise Permanent(message, code="killed", hint=hint)
        case EndReason.CANCEL:
            raise Canceled
        case limit:
            hint = "Make the build smaller, or raise the limit in the runner's settings (limits)."
            raise Permanent(f"{step}: {_reached(limit, limits)}", code=f"limit-{limit.value}", hint=hint)


def check_size(size: int, limits: Limits) -> None:
    """Raises Permanent when the files of a build, `size` bytes in total, exceed the limit `disk`.

    The sandbox measures blocks: a sparse file takes few of them in the build, and all of them where it is copied to."""
    if size > limits.disk:
        message = f"collect: the files are {size // MIB} MiB, more than the limit `disk`, {limits.disk // MIB} MiB"
        hint = "Make the packages smaller, or raise the limit in the runner's settings (limits)."
        raise Permanent(message, code="limit-disk", hint=hint)


def install_error(result: RunResult) -> Retryable | None:
    """Returns the error of a failed installation whose cause is a limit or a full disk; None: another cause."""
    if result.ended_by is EndReason.ITSELF:
        return _disk_full("dependencies") if result.disk_was_full else None
    limit = result.ended_by.value
    message = f"installing the build dependencies reached the limit `{limit}`"
    hint = "Check that the mirror is fast enough and that the runner's disk has room, or raise the limit (limits)."
    return Retryable(message, code=f"limit-{limit}", hint=hint)


def build_error(source: PackageSource, step: str, status: int, log: BuildLog, limits: Limits) -> Permanent:
    """Returns the error of a build that ended with an exit status.

    Its message begins with the line that looks like the cause, and quotes the lines after it. If no line looks like a
    cause, the message quotes the last lines."""
    lines = [line for line in log.lines() if line.strip()]
    cause = log.likely_cause() or (lines[-1].strip() if lines else f"exit status {status}")
    quoted = "".join(f"\n  | {line}" for line in _around(cause, lines) if line.strip() != cause)
    verb = "does not unpack" if step == "unpack" else "does not build"
    hint = _explanation(cause, limits) + "`cb-ctl shell DIR --after-failure` opens a shell where it failed."
    return Permanent(f"{source.name} {source.version} {verb}: {cause}{quoted}", code=f"{step}-failed", hint=hint)


def test_error(source: PackageSource, command: str, status: int, log: BuildLog) -> Permanent:
    """Returns the error of a test command of the manifest that failed. The message quotes its last lines."""
    shown = command if len(command.splitlines()) < 2 else f"{first_line(command)} …"
    lines = "".join(f"\n  | {line}" for line in log.lines()[-MAX_LINES:] if line.strip())
    message = f"{source.name} {source.version}: the test `{shown}` failed with exit status {status}{lines}"
    hint = "Tests run as root, in the unit's directory, with the built packages installed and without a network."
    return Permanent(message, code="test-failed", hint=hint)


def _disk_full(step: str) -> Retryable:
    """Returns an error and not a failure: on a runner with room the same build may succeed."""
    hint = (
        "Free space in the runner's directory `work`, or give the runner fewer slots, or builds a lower limit `disk`."
    )
    return Retryable(f"{step}: the disk of the runner is full", code="disk-full", hint=hint)


def _around(cause: str, lines: list[str]) -> list[str]:
    """Returns the lines from the cause on; if the cause is the last line or missing, the last lines.

    The last lines of a log are mostly those of the tools that called the failed one, and explain little."""
    start = next((number for number, line in enumerate(lines) if line.strip() == cause), len(lines))
    return lines[start : start + MAX_LINES] if start < len(lines) - 1 else lines[-MAX_LINES:]


def _explanation(cause: str, limits: Limits) -> str:
    """Explains an error message of the kernel by the limits of builds; empty: the message has no such explanation."""
    for pattern, explanation in _EXPLANATIONS:
        if re.search(pattern, cause):
            return explanation.format(limits=limits, memory=limits.memory // MIB) + " "
    return ""


def _reached(limit: EndReason, limits: Limits) -> str:
    """Returns which limit the build exceeded, as the end of a sentence."""
    match limit:
        case EndReason.TIME:
            return f"took longer than the limit `time`, {limits.time:g} s"
        case EndReason.SILENCE:
            return f"printed nothing for the limit `silence`, {limits.silence:g} s"
        case EndReason.MEMORY:
            return f"used more than the limit `memory`, {limits.memory // MIB} MiB"
        case EndReason.DISK:
            return f"wrote more than the limit `disk`, {limits.disk // MIB} MiB (every file counts 4 KiB at least)"
        case EndReason.PROCESSES:
            return f"started more than the limit `processes`, {limits.processes}"
    return f"printed more than the limit `log`, {limits.log // MIB} MiB"
