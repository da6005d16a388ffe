"""Runs git in one bare repository: never asks anyone, never hangs, and what git says becomes our errors.

Must never pass a name from outside as a bare argument: callers give full ref names and object ids.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType

from cloud_builder.adapters.process import Finished, run
from cloud_builder.errors import Bug, Retryable

LOCAL_SECONDS = 120.0
ASK_SECONDS = 30.0
FETCH_SECONDS = 900.0
NOTHING: Mapping[str, str] = MappingProxyType({})
_ANY_STATUS = range(-64, 256)

_NOT_OURS = frozenset(
    f"GIT_{name}"
    for name in ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "NAMESPACE")
)
"""Set when we are started from a git hook; they would turn every command towards another repository."""

_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3"

_HINTS = (
    ("dubious ownership", "The repository belongs to another user. To trust it: "
     "git config --global --add safe.directory {path}"),
    ("not appear to be a git repository", "Give the top of a git repository; a new directory becomes one by git init."),
    ("Permission denied (publickey", "Give the user this daemon runs as an ssh key that the server knows."),
    ("Host key verification failed", "Add the server to known_hosts: ssh-keyscan HOST >> ~/.ssh/known_hosts"),
    ("could not read Username", "The server wants a login: set up a git credential helper, or use ssh."),
    ("Authentication failed", "The server refused the login: look at the git credential helper."),
    ("Could not resolve host", "Look at the name in the URL, and at the network."),
    ("not found", "Look at the URL: git ls-remote {url}"),
    ("transport", "URLs may be a path, file://, http(s):// or ssh://."),
)  # fmt: skip
_SAYS_NOTHING = (
    "Could not read from remote", "Please make sure", "and the repository exists", "To add an exception", "git config",
    "warning:", "**",
)  # fmt: skip
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


def environment() -> dict[str, str]:
    """The whole environment of every git we start."""
    ours = {key: value for key, value in os.environ.items() if key not in _NOT_OURS}
    ours.setdefault("GIT_SSH_COMMAND", _SSH)
    return ours | {
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_OPTIONAL_LOCKS": "0",
    }


def without_secrets(text: str) -> str:
    """URLs without user and password."""
    return _SECRET.sub("", text)


@dataclass(frozen=True)
class GitRepository:
    """A bare repository on disk. `cancel`: ends whatever git is doing: Retryable(code="canceled")."""

    path: Path
    cancel: Event | None = None

    def git(self, *arguments: str, stdin: bytes = b"", seconds: float = LOCAL_SECONDS) -> Finished:
        """Runs a local command that has no reason to fail; raises Bug when it does."""
        finished = self.try_git(*arguments, stdin=stdin, seconds=seconds)
        if finished.status:
            raise Bug(f"git {arguments[0]} in {self.path}: {finished.last_lines()}", code="git")
        return finished

    def try_git(
        self, *arguments: str, stdin: bytes = b"", seconds: float = LOCAL_SECONDS, extra: Mapping[str, str] = NOTHING
    ) -> Finished:
        """Runs a command; the caller looks at its status. `extra` goes into the environment."""
        command = ("git", "--git-dir", str(self.path), *arguments)
        env = {**environment(), **extra}
        return run(command, env=env, stdin=stdin, timeout=seconds, fine=_ANY_STATUS, cancel=self.cancel)

    def query(
        self,
        url: str,
        *arguments: str,
        stdin: bytes = b"",
        seconds: float = ASK_SECONDS,
        extra: Mapping[str, str] = NOTHING,
    ) -> Finished:
        """Runs a command that talks to the remote; raises Retryable(code="source-unreachable")."""
        try:
            finished = self.try_git(*arguments, stdin=stdin, seconds=seconds, extra=extra)
        except Retryable as error:
            if error.code != "timeout":
                raise
            raise unreachable(url, f"no answer within {seconds:g} s") from error
        if finished.status:
            raise unreachable(url, finished.last_lines())
        return finished


def unreachable(url: str, said: str) -> Retryable:
    """git's last words as an error with the next step."""
    shown = without_secrets(url)
    said = without_secrets(said)
    hint = next((hint for words, hint in _HINTS if words in said), "Try it by hand: git ls-remote {url}")
    path = re.search(r"repository at '([^']+)'", said)
    hint = hint.format(url=shown, path=path[1] if path else shown)
    lines = [line.strip().removeprefix("fatal: ") for line in said.splitlines()]
    telling = [line for line in lines if line and not line.startswith(_SAYS_NOTHING)]
    return Retryable(
        f"{shown}: {'; '.join(telling[:2]) or 'git gives no reason'}", code="source-unreachable", hint=hint, delay=5.0
    )
