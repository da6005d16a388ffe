"""Running programs: argument lists in, what they printed out, errors that say the command and its last words.

Must never use a shell, inherit stdin, or leave a program behind that `run` started. A program is looked up on the
PATH of `env` when that is given (its whole environment), on ours otherwise.
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

LAST_LINES = 12
_LOOK = 0.1
"""Seconds: how soon a cancel is noticed."""
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
        """stdout as text."""
        return self.stdout.decode(errors="replace")

    def last_lines(self, most: int = LAST_LINES) -> str:
        """The end of what it said: stderr, or stdout when that is empty."""
        said = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return "\n".join(said.splitlines()[-most:])


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    fine: Collection[int] = (0,),
    error: type[CloudBuilderError] = Permanent,
    code: str = "",
    hint: str = "",
    cancel: Event | None = None,
) -> Finished:
    """Runs to the end and captures both outputs. `env` is the whole environment (None: ours).

    An exit status that is not in `fine` raises `error` (Permanent or Retryable) with the last lines and `hint`;
    after `timeout` seconds the program and its children are killed: Retryable(code="timeout"); as soon as `cancel` is
    set, too: Retryable(code="canceled"). A program that is not installed: Retryable(code="tool-missing")."""
    argv = _argv(command)
    child = spawn(argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, new_session=True)
    try:
        with _cancelable(child, cancel):
            stdout, stderr = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        raise Retryable(f"{_shown(argv)}: not done after {timeout:g} s", code="timeout", hint=hint) from late
    finally:
        _end(child)
    if cancel is not None and cancel.is_set():
        raise Retryable(f"{_shown(argv)}: was canceled", code="canceled")
    finished = Finished(argv, child.returncode, stdout, stderr)
    if finished.status not in fine:
        raise error(f"{_shown(argv)}: {_ended(finished.status)}{_indented(finished)}", code=code, hint=hint)
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
    """Starts a program and returns at once; the caller reads, waits and ends it. Streams are subprocess's.

    `new_session`: a terminal's ^C does not reach it, and its process group is its own. Retryable(code="tool-missing")
    when it is not installed."""
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
    """Kills the child's process group as soon as `cancel` is set. By a thread of its own: what is sent to a program
    cannot be sent in pieces by subprocess."""
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
        if done.wait(_LOOK):
            return
    _kill(child)


def _argv(command: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    return tuple(os.fspath(part) for part in command)


def _missing(program: str) -> Retryable:
    package = package_of(Path(program).name)
    hint = f"apt-get install {package}"
    return Retryable(f"{program}: not installed on this machine", code="tool-missing", hint=hint, delay=60.0)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the child's process group, and reaps the child."""
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


def _ended(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _indented(finished: Finished) -> str:
    return "".join(f"\n  {line}" for line in finished.last_lines().splitlines())
