"""How a build ended, in words: an outcome, the cause, and the next thing to do. Pure.

failure: the source or a limit said no. error: something around it is unwell, or we are wrong. canceled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloud_builder.errors import CloudBuilderError, Permanent, Rejected, Retryable
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.recipe import PackageSource
from cloud_builder.ports.sandbox import EndReason, RunResult

from .build_log import BuildLog, Canceled

LAST_LINES = 6
"""Of the log, in a message."""
_KILLED = -9
_MEANINGS = (
    (
        r"Cannot allocate memory|MemoryError|bad_alloc|[Oo]ut of memory|memory exhausted",
        "One program of a build gets twice the limit `memory` ({memory} MiB), and all together no more than that.",
    ),
    (
        r"[Cc]annot fork|fork: .*Resource temporarily|can't start new thread|Resource temporarily unavailable",
        "A build may have {limits.processes} processes and threads (the limit `processes`).",
    ),
    (
        r"Network is unreachable|name resolution|[Cc]ould not resolve|Name or service not known",
        "Builds have no network: what they need must be in the source or in Build-Depends.",
    ),
)


@dataclass(frozen=True)
class BuildOutcome:
    """The part of `attempt.finished` that says how and why. `message`: its first line says it all."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    hint: str = ""


SUCCESS = BuildOutcome(Outcome.SUCCESS)
CANCELED = BuildOutcome(Outcome.CANCELED, "canceled", "canceled")


def outcome_of_error(error: Exception, *, canceled: bool) -> BuildOutcome:
    """`canceled`: somebody asked for the end; then whatever was raised is a consequence of it."""
    if canceled or isinstance(error, Canceled):
        return CANCELED
    match error:
        case Permanent() | Rejected():
            return BuildOutcome(Outcome.FAILURE, error.code, error.message, error.hint)
        case CloudBuilderError():
            return BuildOutcome(Outcome.ERROR, error.code, error.message, error.hint)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror or error}"
            return BuildOutcome(Outcome.ERROR, "machine", message, "Is the disk of the runner full?")
    hint = "This is our mistake, not yours: please report it with the log."
    return BuildOutcome(Outcome.ERROR, "bug", f"{type(error).__name__}: {error}", hint)


def raise_for_result(ended: RunResult, step: str, limits: Limits) -> None:
    """Raises when the program did not end by itself."""
    match ended.ended_by:
        case EndReason.ITSELF:
            if ended.host_out_of_memory and ended.status != 0:
                hint = "Give the machine more memory, the runner fewer slots, or builds a lower limit `memory`."
                raise Retryable(f"{step}: the runner's machine ran out of memory", code="machine-memory", hint=hint)
            if ended.disk_was_full and ended.status != 0:
                raise _disk_full(step)
            if ended.status == _KILLED:
                hint = (
                    "Does it kill all processes (kill -9 -1)? Neither a limit nor the machine's memory was the cause."
                )
                raise Permanent(f"{step}: it was killed by SIGKILL, and not by the runner", code="killed", hint=hint)
        case EndReason.CANCEL:
            raise Canceled
        case limit:
            hint = "Make the build smaller, or raise the limit in the runner's settings (limits)."
            raise Permanent(f"{step}: {_reached(limit, limits)}", code=f"limit-{limit.value}", hint=hint)


def _disk_full(step: str) -> Retryable:
    """Whoever filled it: what failed meanwhile may be well where there is room."""
    hint = "Free space where the runner works (its setting `work`), or give it fewer slots, or builds a lower `disk`."
    return Retryable(f"{step}: the disk of the runner is full", code="disk-full", hint=hint)


def check_size(outputs: int, limits: Limits) -> None:
    """Holes of a sparse file take no disk in the build, but they do where the file goes."""
    if outputs > limits.disk:
        told = f"its files are {outputs // MIB} MiB, more than the limit `disk`, {limits.disk // MIB} MiB"
        hint = "Make the packages smaller, or raise the limit in the runner's settings (limits)."
        raise Permanent(f"collect: {told}", code="limit-disk", hint=hint)


def install_ended(ended: RunResult) -> Retryable | None:
    """The error of an installation that failed, when it is not its own fault."""
    if ended.ended_by is EndReason.ITSELF:
        return _disk_full("dependencies") if ended.disk_was_full else None
    message = f"installing the build dependencies reached the limit {ended.ended_by.value}"
    return Retryable(message, code=f"limit-{ended.ended_by.value}", hint="Is the mirror slow, or the disk full?")


def build_failed(source: PackageSource, step: str, status: int, progress: BuildLog, limits: Limits) -> Permanent:
    """With the line that looks like the cause first, and after it what was printed next; without one the last lines."""
    lines = [line for line in progress.lines() if line.strip()]
    cause = progress.likely_cause() or (lines[-1].strip() if lines else f"exit status {status}")
    told = "".join(f"\n  | {line}" for line in _around(cause, lines) if line.strip() != cause)
    verb = "does not unpack" if step == "unpack" else "does not build"
    hint = _meaning(cause, limits) + "`cb-ctl shell DIR --after-failure` opens a shell where it failed."
    return Permanent(f"{source.name} {source.version} {verb}: {cause}{told}", code=f"{step}-failed", hint=hint)


def _around(cause: str, lines: list[str]) -> list[str]:
    """What follows the cause, and not the epilogue of every tool that called another; the last lines without one."""
    at = next((number for number, line in enumerate(lines) if line.strip() == cause), len(lines))
    return lines[at : at + LAST_LINES] if at < len(lines) - 1 else lines[-LAST_LINES:]


def _meaning(cause: str, limits: Limits) -> str:
    """What a word of the kernel stands for in a build; empty: nothing that we know."""
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, cause):
            return meaning.format(limits=limits, memory=limits.memory // MIB) + " "
    return ""


def _reached(limit: EndReason, limits: Limits) -> str:
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
