"""Runs git in one bare repository, without prompts and with time limits; messages of git become errors.

Must not pass a name from outside as an argument of its own: callers give full ref names and object ids.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import BinaryIO

from cloud_builder.adapters.process import Finished, run
from cloud_builder.errors import Bug, Retryable

LOCAL_SECONDS = 120.0
QUERY_SECONDS = 30.0
FETCH_SECONDS = 900.0
_NO_EXTRA: Mapping[str, str] = MappingProxyType({})
_ANY_STATUS = range(-64, 256)

_REDIRECTING = frozenset(
    f"GIT_{name}"
    for name in ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "NAMESPACE")
)
"""Variables that a git hook sets for its programs. They would redirect each command to another repository."""

_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3"

_HINTS = (
    ("dubious ownership", "The repository belongs to another user. To trust it: "
     "git config --global --add safe.directory {path}"),
    ("not appear to be a git repository", "Name the top of a git repository; `git init` makes a directory one."),
    ("Permission denied (publickey", "Give the user of this daemon an ssh key that the server knows."),
    ("Host key verification failed", "Add the server to known_hosts: ssh-keyscan HOST >> ~/.ssh/known_hosts"),
    ("could not read Username", "The server requires a login: set up a git credential helper, or use ssh."),
    ("Authentication failed", "The server refused the login: check the git credential helper."),
    ("Could not resolve host", "Check the host name in the URL, and the network."),
    ("not found", "Check the URL: git ls-remote {url}"),
    ("transport", "URLs may be a path, file://, http(s):// or ssh://."),
)  # fmt: skip
_UNINFORMATIVE = (
    "Could not read from remote", "Please make sure", "and the repository exists", "To add an exception", "git config",
    "warning:", "**",
)  # fmt: skip
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


def environment() -> dict[str, str]:
    """Returns the whole environment of git."""
    variables = {key: value for key, value in os.environ.items() if key not in _REDIRECTING}
    variables.setdefault("GIT_SSH_COMMAND", _SSH)
    return variables | {
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_OPTIONAL_LOCKS": "0",
    }


def without_secrets(text: str) -> str:
    """Removes user and password from the URLs in a text."""
    return _SECRET.sub("", text)


@dataclass(frozen=True)
class GitRepository:
    """A bare repository on disk. `cancel`: ends each command of git: Retryable(code="canceled")."""

    path: Path
    cancel: Event | None = None

    def git(
        self, *arguments: str, stdin: bytes = b"", seconds: float = LOCAL_SECONDS, extra: Mapping[str, str] = _NO_EXTRA
    ) -> Finished:
        """Runs a local command that has no reason to fail; raises Bug when it does."""
        finished = self.try_git(*arguments, stdin=stdin, seconds=seconds, extra=extra)
        if finished.status:
            raise Bug(f"git {arguments[0]} in {self.path}: {finished.last_lines()}", code="git")
        return finished

    def try_git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        stdout: BinaryIO | None = None,
        seconds: float = LOCAL_SECONDS,
        extra: Mapping[str, str] = _NO_EXTRA,
    ) -> Finished:
        """Runs a command; the caller checks its status. `stdout`: a file that gets the output. `extra`: additional
        environment variables."""
        command = ("git", "--git-dir", str(self.path), *arguments)
        env = {**environment(), **extra}
        return run(
            command, env=env, stdin=stdin, stdout=stdout, timeout=seconds, expected=_ANY_STATUS, cancel=self.cancel
        )

    def query(
        self,
        url: str,
        *arguments: str,
        stdin: bytes = b"",
        stdout: BinaryIO | None = None,
        seconds: float = QUERY_SECONDS,
        extra: Mapping[str, str] = _NO_EXTRA,
    ) -> Finished:
        """Runs a command that connects to the remote; raises Retryable(code="source-unreachable")."""
        try:
            finished = self.try_git(*arguments, stdin=stdin, stdout=stdout, seconds=seconds, extra=extra)
        except Retryable as error:
            if error.code != "timeout":
                raise
            raise unreachable(url, f"no answer within {seconds:g} s") from error
        if finished.status:
            raise unreachable(url, finished.last_lines())
        return finished


def unreachable(url: str, output: str) -> Retryable:
    """Returns the error for the last lines of git, with the next step."""
    shown = without_secrets(url)
    output = without_secrets(output)
    hint = next((hint for message, hint in _HINTS if message in output), "Try it by hand: git ls-remote {url}")
    path = re.search(r"repository at '([^']+)'", output)
    hint = hint.format(url=shown, path=path[1] if path else shown)
    lines = [line.strip().removeprefix("fatal: ") for line in output.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(_UNINFORMATIVE)]
    return Retryable(
        f"{shown}: {'; '.join(reasons[:2]) or 'git gives no reason'}", code="source-unreachable", hint=hint, delay=5.0
    )
