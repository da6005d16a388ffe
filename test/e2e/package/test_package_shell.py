"""`shell`: a terminal in the root, layer and unpacked source of a unit, also where its build failed."""

from __future__ import annotations

import os
import pty
import select
import signal
from pathlib import Path

import pytest

from e2e.package.package_workspace import python
from support.waiting import until

CHILD = """
import sys
from pathlib import Path
from threading import Event
from cloud_builder.builder.task import task_for_directory
from e2e.package.package_workspace import TARGET, PackageWorkspace
workspace = PackageWorkspace(Path(sys.argv[1]), Path(sys.argv[2]))
write = lambda piece: (sys.stdout.buffer.write(piece), sys.stdout.buffer.flush())
after = sys.argv[3] == "after"
task = task_for_directory(workspace.unit("broken"), TARGET)
sys.exit(workspace.builder.shell(task, write, Event(), after_failure=after))
"""


class Terminal:
    """A child process on its own terminal. `output`: what it has printed so far."""

    def __init__(self, *command: str) -> None:
        self.output = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.output or self._read(), lambda: f"{text!r} in:\n{self.output}\n")

    def _read(self) -> None:
        """Reads what the child has printed since. Raises AssertionError when the child has ended."""
        if select.select([self._terminal], [], [], 0.2)[0]:
            try:
                self.output += os.read(self._terminal, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"ended after:\n{self.output}") from None

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def ended(self) -> int:
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status

    def end(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)


@pytest.fixture
def open_shell(workspace, unit, libgreet, own_cache):
    opened = []

    def start(how: str) -> Terminal:
        opened.append(Terminal(*python(CHILD, str(workspace.home), str(own_cache), how)))
        return opened[0]

    yield start
    for terminal in opened:
        terminal.end()
    workspace.builder.sweep()


def test_shell_starts_in_the_unpacked_source(open_shell) -> None:
    terminal = open_shell("now")
    terminal.wait_for("/build/libgreet-1.0.0]$ ")
    terminal.type("echo $((6*7)) $(id -un) $(dpkg-query -f '${Status}' -W debhelper); test -t 0 && echo on a tty\n")
    terminal.wait_for("42 builder install ok installed")
    terminal.wait_for("on a tty\r\n")
    terminal.type("exit 7\n")
    assert terminal.ended() == 7


def test_shell_after_a_failure_has_the_files_of_the_build(open_shell, unit: Path) -> None:
    source = unit / "greet.c"
    source.write_text(source.read_text().replace('"Good morning"', '"Bad morning"'))
    terminal = open_shell("after")
    terminal.wait_for("does not build: FAIL: 8 is morning")
    terminal.wait_for("/build/libgreet-1.0.0]$ ")
    terminal.type("LD_LIBRARY_PATH=. ./test_greet; exit\n")
    terminal.wait_for("FAIL: 8 is morning\r\nFAIL: the length is returned\r\n")
    assert terminal.ended() == 1


def test_successful_build_opens_no_shell(open_shell) -> None:
    terminal = open_shell("after")
    terminal.wait_for("dpkg-buildpackage: info: binary-only upload")
    assert terminal.ended() == 0
