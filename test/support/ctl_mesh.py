"""A whole mesh for tests, driven by cb-ctl as a user does: in its own home, optionally as an ordinary user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support.waiting import until

EXAMPLE = Path(__file__).parents[2] / "sources-example" / "projects"
ORDINARY_USER = "cb-test"
LONG = 540.0
"""Seconds that a command may take, e.g. one that follows a build to its end on a busy machine."""
UNITS = ("packages/libgreet", "packages/greet", "packages/greeting-card")


class CtlResult:
    """The output and exit code of a command."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = process.returncode, process.stdout, process.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Account:
    """The user that runs the commands: the user of the tests, or (if that is root) an ordinary user."""

    def __init__(self, user: str | None = None) -> None:
        self.user = user
        self._entry = pwd.getpwnam(user) if user else None

    @property
    def programs(self) -> Path:
        """Directory with a cb-ctl that this account can run: that of the tests, or one installed for the account."""
        of_tests = Path(sys.executable).parent
        if self._entry is None or self._may_run(of_tests / "cb-ctl"):
            return of_tests
        own = Path(self._entry.pw_dir) / ".cache" / "cb-test-venv"
        if not self._may_run(own / "bin" / "cb-ctl"):
            root = Path(__file__).parents[2]
            subprocess.run(["/usr/bin/python3", "-m", "venv", str(own)], check=True)
            lock = ["-c", str(root / ".ci" / "constraints.txt")]
            subprocess.run([str(own / "bin" / "pip"), "install", "-q", *lock, str(root)], check=True)
        return own / "bin"

    def _may_run(self, program: Path) -> bool:
        return subprocess.run(self.command(str(program), "--version"), capture_output=True, check=False).returncode == 0

    def command(self, *words: str) -> list[str]:
        if self._entry is None:
            return list(words)
        ids = ["--reuid", str(self._entry.pw_uid), "--regid", str(self._entry.pw_gid), "--init-groups"]
        return ["setpriv", *ids, "--", *words]

    def environment(self, **more: str) -> dict[str, str]:
        variables = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "XDG_CACHE_HOME") if name in os.environ
        }
        if self._entry is not None:
            variables.pop("XDG_CACHE_HOME", None)
            variables |= {"HOME": self._entry.pw_dir, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return {**variables, **more}

    def own(self, path: Path) -> None:
        for entry in [path, *path.rglob("*")] if self._entry else ():
            self.own_one(entry)

    def own_one(self, path: Path) -> None:
        if self._entry is not None:
            os.chown(path, self._entry.pw_uid, self._entry.pw_gid, follow_symlinks=False)


def user_cache(account: Account) -> Path:
    """Returns the cache directory that the product chooses for this account."""
    environment = account.environment()
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment["HOME"]) / ".cache")
    return Path(base) / "cloud-builder" / "test"


def ordinary_account() -> Account:
    """Returns an ordinary user with a subordinate id range, and creates it if necessary; needs root."""
    try:
        pwd.getpwnam(ORDINARY_USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", ORDINARY_USER], check=True)
    return Account(ORDINARY_USER)


class ExampleSource:
    """A git repository with the example chain."""

    def __init__(self, path: Path, account: Account) -> None:
        self.path, self._account = path, account
        shutil.copytree(EXAMPLE, path / "projects", symlinks=True)
        account.own(path)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")
        self.commit("the example")

    def git(self, *words: str) -> str:
        command = self._account.command("git", "-C", str(self.path), *words)
        dates = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
        environment = self._account.environment(**dates)
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        file = self.path / path
        file.write_text(change(file.read_text()))


class CtlMesh:
    """A mesh of `cb-ctl up` in a home.

    broker     embedded, or HOST:PORT
    settings   CB_* variables of daemons and commands
    """

    def __init__(
        self,
        home: Path,
        cache: Path,
        *,
        broker: str = "embedded",
        runners: int = 1,
        account: Account | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home, self.account = home, account or Account()
        self._broker, self._runners = broker, runners
        self.port = _free_port()
        self.environment = self.account.environment(
            CB_HOME=str(home), CB_CACHE=str(cache), CB_REQUEST__POLL_INTERVAL="2", **(settings or {})
        )
        home.mkdir(parents=True, exist_ok=True)
        self.account.own(home)

    def ctl(self, *words: str, timeout: float = LONG) -> CtlResult:
        command = self.account.command(str(self.account.programs / "cb-ctl"), *words)
        return CtlResult(
            subprocess.run(
                command,
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        )

    def ok(self, *words: str, timeout: float = LONG) -> CtlResult:
        result = self.ctl(*words, timeout=timeout)
        assert result.status == 0, f"cb-ctl {' '.join(words)}: {result}\n{self.logs()}"
        return result

    def up(self, **sources: Path) -> None:
        words = ["up", "--detach", "--runners", str(self._runners), "--broker", self._broker, "--port", str(self.port)]
        for name, path in sources.items():
            words += ["--source", f"{name}={path}"]
        self.ok(*words)

    def down(self) -> None:
        self.ctl("down")

    def request(self, *words: str) -> Any:
        """Sends a request, waits for its end, and returns the finished request."""
        return self.ctl("request", *words, "--watch", "--timeout", f"{LONG - 60:.0f}", "--json").json

    def rows(self, what: str, *words: str) -> list[dict[str, Any]]:
        found = self.ok("list", what, *words, "--json").json
        return list(found if isinstance(found, list) else found["items"])

    def pid(self, daemon: str) -> int:
        """Returns the process id of a daemon from the file that the supervisor wrote."""
        children = json.loads((self.home / "run" / "up.json").read_text())["children"]
        return next(int(child["pid"]) for child in children if child["name"] == daemon)

    @property
    def bootstrap(self) -> str:
        return str(json.loads((self.home / "run" / "broker.json").read_text())["bootstrap"])

    def logs(self) -> str:
        tails = [f"== {log.name}\n{log.read_text()[-3000:]}" for log in sorted((self.home / "log").glob("*.log"))]
        return "\n".join(tails)

    def until(self, found: Callable[[], Any], what: str) -> Any:
        return until(found, lambda: f"{what}\n{self.logs()}\n", LONG / 2)


def debs(answer: Mapping[str, Any]) -> dict[str, str]:
    """Returns name → sha256 of the Debian packages that were built for a request, as `--json` prints it."""
    artifacts = [artifact for job in answer["jobs"] for artifact in job["artifacts"]]
    return {artifact["name"]: artifact["sha256"] for artifact in artifacts if artifact["name"].endswith(".deb")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
