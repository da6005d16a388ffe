"""Runs programs. Input: argument lists. Output: what a program printed; errors with the command and its last lines.

Must not use a shell, inherit stdin, or leave a program running that `run` started. A program is searched on the PATH
of `env` if that is given (its whole environment), else on the PATH of this process.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import IO

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable

from .packages import package_of

MAX_LINES = 12
"""Lines of output in an error."""
_POLL_INTERVAL = 0.1
"""Seconds until a cancel is noticed."""
Stream = int | IO[bytes] | None


@dataclass(frozen=True)
class Finished:
    """A program that has ended. `status`: exit code, or minus the signal."""

    command: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """The standard output as text."""
        return self.stdout.decode(errors="replace")

    def last_lines(self, max_lines: int = MAX_LINES) -> str:
        """Returns the last lines of stderr, or of stdout when stderr is empty."""
        printed = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return "\n".join(printed.splitlines()[-max_lines:])


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stdout: IO[bytes] | None = None,
    timeout: float | None = None,
    expected: Collection[int] = (0,),
    error: type[CloudBuilderError] = Permanent,
    code: str = "",
    hint: str = "",
    cancel: Event | None = None,
) -> Finished:
    """Runs a program to its end and captures stdout and stderr.

    stdout    a file that gets the output, instead of memory
    env       the whole environment; None: that of this process
    timeout   seconds after which the program and its children are killed: Retryable(code="timeout")
    expected  exit statuses that are no error; another one raises `error` with `code`, the last lines and `hint`
    cancel    kills the program and its children when set: Retryable(code="canceled")

    Raises Retryable(code="tool-missing") when the program is not installed."""
    argv = _argv(command)
    pipe = subprocess.PIPE
    child = spawn(argv, cwd=cwd, env=env, stdin=pipe, stdout=stdout or pipe, stderr=pipe, new_session=True)
    try:
        with _cancelable(child, cancel):
            output, stderr = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as timed_out:
        raise Retryable(
            f"{_shown(argv)}: has not ended after {timeout:g} s and was killed", code="timeout", hint=hint
        ) from timed_out
    finally:
        _end(child)
    if cancel is not None and cancel.is_set():
        raise Retryable(f"{_shown(argv)}: was canceled", code="canceled")
    finished = Finished(argv, child.returncode, output or b"", stderr)
    if finished.status not in expected:
        raise error(f"{_shown(argv)}: {_describe(finished.status)}{_indented(finished)}", code=code, hint=hint)
    return finished


def spawn(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.PIPE,
    stderr: Stream = subprocess.STDOUT,
    pass_fds: Collection[int] = (),
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Starts a program and returns at once; the caller reads its output, waits for it and ends it.

    `stdin`, `stdout`, `stderr`: as for subprocess. `new_session`: the program has its own process group, and ^C in the
    terminal does not reach it. Raises Retryable(code="tool-missing") when the program is not installed."""
    argv = _argv(command)
    path = env.get("PATH") if env is not None else None
    program = shutil.which(argv[0], path=path)
    if program is None:
        raise _missing(argv[0])
    try:
        return subprocess.Popen(
            (argv[0], *argv[1:]),
            executable=program,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=new_session,
        )
    except OSError as cause:
        raise Retryable(f"{argv[0]}: cannot be started: {cause.strerror}", code="cannot-start") from cause


@contextlib.contextmanager
def _cancelable(child: subprocess.Popen[bytes], cancel: Event | None) -> Iterator[None]:
    """Kills the child's process group as soon as `cancel` is set.

    A thread waits for that, because `communicate` with input cannot be called repeatedly with a short timeout."""
    if cancel is None:
        yield
        return
    done = Event()
    watcher = Thread(target=_kill_on_cancel, args=(child, cancel, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _kill_on_cancel(child: subprocess.Popen[bytes], cancel: Event, done: Event) -> None:
    while not cancel.is_set():
        if done.wait(_POLL_INTERVAL):
            return
    _kill(child)


def _argv(command: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    return tuple(os.fspath(part) for part in command)


def _missing(program: str) -> Retryable:
    package = package_of(Path(program).name)
    hint = f"apt-get install {package}"
    return Retryable(f"{program}: is not installed on this machine", code="tool-missing", hint=hint, delay=60.0)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kills the rest of the child's process group, and reaps the child."""
    if child.returncode is None:
        _kill(child)
        child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _shown(argv: Sequence[str]) -> str:
    shown = shlex.join(argv)
    return shown if len(shown) <= 160 else shown[:157] + "..."


def _describe(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _indented(finished: Finished) -> str:
    return "".join(f"\n  {line}" for line in finished.last_lines().splitlines())
