"""`.ci/setup` with fake dpkg-query, apt-get and pip on PATH: what it prints, where the log is, how it exits."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / ".ci" / "setup"
DPKG_QUERY = """#!/bin/sh
cat "$FAKES/installed"
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$FAKES/calls"
echo "Reading package lists..."
[ "$2" = update ] && exit 0
echo "E: Unable to locate package" >&2
[ -e "$FAKES/broken" ] && exit 100
for package in rsync libxxhash0; do
    echo "Setting up $package (1.0) ..."
    echo "pmstatus:$package:80.5:Installed $package (amd64)" >&3
    echo "pmstatus:$package:99.5:Installed $package (amd64)" >&3
done
"""
SUDO = '#!/bin/sh\necho "sudo $1" >>"$FAKES/calls"\nexec "$@"\n'
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
echo "Collecting click==8.1"
[ -e "$FAKES/broken" ] && { echo "ERROR: No matching distribution found"; exit 1; }
exit 0
"""


class Project:
    """A directory with `.ci/setup`, a list of two packages, a Python environment that is ready, and fake programs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fakes = root / "fakes"
        for folder in (".ci", "fakes", ".venv/bin"):
            (root / folder).mkdir(parents=True)
        shutil.copy(SETUP, root / ".ci" / "setup")
        (root / ".ci" / "packages-run.txt").write_text("# comment\ngit  reading sources\nrsync  copying trees\n")
        (root / ".ci" / "constraints.txt").write_text("click==8.1\n")
        (root / "pyproject.toml").write_text("")
        digest = hashlib.sha256(b"click==8.1\n").hexdigest()
        self.stamp = root / ".venv" / ".installed-run"
        self.stamp.write_text(f"{digest}  - {root.resolve()}\n")
        (root / ".venv" / "bin" / "pip").write_text(f"#!{root.resolve()}/.venv/bin/python\n")
        self.program(".venv/bin/python", PYTHON)
        self.user(0)
        for name, text in (("dpkg-query", DPKG_QUERY), ("apt-get", APT_GET)):
            self.program(f"fakes/{name}", text)
        self.installed("git", "rsync")

    def program(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)
        (self.root / path).chmod(0o755)

    def user(self, number: int) -> None:
        self.program("fakes/id", f"#!/bin/sh\necho {number}\n")

    def installed(self, *packages: str) -> None:
        (self.fakes / "installed").write_text("".join(f"{package} installed\n" for package in packages))

    def break_installers(self) -> None:
        (self.fakes / "broken").touch()

    @property
    def calls(self) -> str:
        return (self.fakes / "calls").read_text() if (self.fakes / "calls").exists() else ""

    @property
    def log(self) -> str:
        return (self.root / "build" / "setup.log").read_text()

    def command(self) -> list[str]:
        return [str(self.root / ".ci" / "setup"), "run"]

    def environment(self, path: str = "") -> dict[str, str]:
        return {"FAKES": str(self.fakes), "PATH": f"{self.fakes}:{path or os.environ['PATH']}", "TERM": "xterm"}

    def setup(self, path: str = "") -> tuple[int, str, str]:
        done = subprocess.run(
            self.command(),
            env=self.environment(path),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    def setup_on_a_terminal(self) -> str:
        """Returns the output of `.ci/setup` on a terminal. Raises CalledProcessError when it fails."""
        ours, theirs = pty.openpty()
        subprocess.run(self.command(), env=self.environment(), stdout=theirs, stdin=subprocess.DEVNULL, check=True)
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            return b"".join(iter(lambda: _read(terminal.fileno()), b"")).decode()


def _read(terminal: int) -> bytes:
    """Returns b"" at the end of the output, which a terminal reports as an error (EIO)."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_setup_is_silent_when_nothing_is_missing(project):
    assert project.setup() == (0, "", "")
    assert project.calls == ""
    assert not (project.root / "build").exists()


def test_setup_prints_missing_packages_and_each_installed_one(project):
    project.installed("git")
    status, out, err = project.setup()
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "Missing Debian packages:",
        "  rsync                    copying trees",
        "Installing them and their dependencies (log: build/setup.log)",
        "  installed rsync",
    ]
    assert "Setting up libxxhash0" in project.log
    assert "install --no-install-recommends rsync\n" in project.calls


def test_setup_shows_one_changing_line_on_a_terminal(project):
    project.installed("git")
    out = project.setup_on_a_terminal()
    assert "\r\x1b[K   80 %  Installed rsync (amd64)" in out
    assert out.endswith("\r\x1b[K")
    assert "  installed rsync" not in out


def test_setup_fails_with_the_end_of_the_log_when_apt_fails(project):
    project.installed("git")
    project.break_installers()
    status, out, err = project.setup()
    assert status == 1
    assert "installed rsync" not in out
    assert "The last lines of build/setup.log:" in err
    assert "    E: Unable to locate package" in err
    assert "next: " in err


def test_setup_installs_with_sudo_when_it_is_not_root(project):
    project.installed("git")
    project.user(1000)
    project.program("fakes/sudo", SUDO)
    status, out, _ = project.setup()
    assert status == 0
    assert "Installing them and their dependencies with sudo" in out
    assert project.calls.count("sudo") == 2


def test_setup_names_the_command_to_run_as_root_when_sudo_is_missing(project):
    project.installed("git")
    project.user(1000)
    for name in ("awk", "bash", "cat", "dirname", "flock", "mkdir", "sha256sum", "xargs"):
        found = shutil.which(name)
        assert found is not None
        (project.fakes / name).symlink_to(found)
    status, _, err = project.setup(path=str(project.fakes))
    assert status == 1
    assert "apt-get install --no-install-recommends rsync" in err
    assert project.calls == ""


def test_setup_installs_python_packages_once(project):
    project.stamp.unlink()
    status, out, err = project.setup()
    assert (status, err) == (0, "")
    assert out == "Installing the Python packages of .ci/constraints.txt into .venv (log: build/setup.log)\n"
    assert "Collecting click==8.1" in project.log
    assert project.setup() == (0, "", "")


def test_setup_fails_and_tries_again_when_pip_fails(project):
    project.stamp.unlink()
    project.break_installers()
    status, _, err = project.setup()
    assert status == 1
    assert "    ERROR: No matching distribution found" in err
    assert not project.stamp.exists()
