"""Builds that fail: each has an outcome and a cause, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from cloud_builder.errors import Retryable
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.model.outcome import Outcome
from e2e.package.package_workspace import python
from support.waiting import LIMIT, until


def rules(unit: Path, script: str) -> None:
    """Makes the unit run a shell script instead of compiling."""
    (unit / "build.sh").write_text(f"#!/bin/bash\n{script}\n")
    (unit / "Makefile").write_text("all:\n\tbash ./build.sh\ncheck install clean:\n")


def test_missing_build_dependency_is_named(workspace) -> None:
    finished = workspace.build("greet")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "build-dependency", "dependencies")
    missing = "Build-Depends: libgreet-dev (>= 1.0) cannot be satisfied: neither the repositories of the build root"
    assert finished.message.startswith(missing)
    assert finished.hint


def test_too_old_version_is_named_with_the_present_one(workspace, unit, libgreet) -> None:
    control = unit / "debian" / "control"
    control.write_text(control.read_text().replace("(= 13)", "(= 13), libgreet-dev (>= 7), make (>= 99)"))
    finished = workspace.build("broken", libgreet)
    assert finished.outcome is Outcome.FAILURE
    assert "Build-Depends: libgreet-dev (>= 7) cannot be satisfied: there is libgreet-dev 1.0.0" in finished.message
    assert "Build-Depends: make (>= 99) cannot be satisfied: there is make 4.3-" in finished.message


def test_failing_test_is_the_cause(workspace, unit) -> None:
    source = unit / "greet.c"
    source.write_text(source.read_text().replace('"Good morning"', '"Bad morning"'))
    finished = workspace.build("broken")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "build-failed", "build")
    assert finished.message.splitlines()[0] == "libgreet 1.0.0 does not build: FAIL: 8 is morning"
    assert "returned exit code 2" in finished.message
    assert finished.artifacts == ()
    assert "FAIL: the text is composed" in workspace.whole_log(finished)


def test_error_of_the_compiler_is_the_cause(workspace, unit) -> None:
    source = unit / "greet.c"
    source.write_text(source.read_text().replace("return NULL;\n}", "return NULL\n}", 1))
    finished = workspace.build("broken")
    assert "greet.c:26:1: error: expected ‘;’ before ‘}’ token" in finished.message.splitlines()[0]


def test_build_has_fixed_times_and_no_rights(workspace, unit) -> None:
    rules(
        unit,
        """
        fail() { echo "FAIL: $1"; exit 1; }
        [ "$SOURCE_DATE_EPOCH" = 1790841600 ] || fail "the time is $SOURCE_DATE_EPOCH"
        [ "$(stat -c %Y greet.c)" = 1790841600 ] || fail 'times of sources are not fixed'
        [ ! -e .cb ] || fail '.cb is in the source'
        touch /usr/bin/x 2>/dev/null && fail 'the root can be written to'
        echo 'FAIL: all is well'; exit 1
        """,
    )
    finished = workspace.build("broken")
    assert finished.message.splitlines()[0].endswith("FAIL: all is well"), finished.message


def test_dsc_with_its_tarballs_is_built(workspace, unit, libgreet, tmp_path: Path) -> None:
    tree = tmp_path / "libgreet-1.0.0"
    subprocess.run(["cp", "-r", unit, tree], check=True)
    subprocess.run(["rm", "-rf", tree / ".cb"], check=True)
    for file in [path for path in unit.iterdir() if path.name != ".cb"]:
        subprocess.run(["rm", "-rf", file], check=True)
    tarball = unit / "libgreet_1.0.0.tar.xz"
    subprocess.run(["tar", "-C", tmp_path, "--owner=0", "--group=0", "-cJf", tarball, tree.name], check=True)
    content = tarball.read_bytes()
    lines = [
        "Format: 3.0 (native)",
        "Source: libgreet",
        "Binary: libgreet1, libgreet-dev",
        "Architecture: any",
        "Version: 1.0.0",
        "Maintainer: Test <test@localhost>",
        "Build-Depends: debhelper-compat (= 13)",
        "Checksums-Sha256:",
        f" {hashlib.sha256(content).hexdigest()} {len(content)} {tarball.name}",
        "Files:",
        f" {hashlib.md5(content).hexdigest()} {len(content)} {tarball.name}",
        "",
    ]
    (unit / "libgreet_1.0.0.dsc").write_text("\n".join(lines))
    finished = workspace.build("broken")
    assert finished.outcome is Outcome.SUCCESS, finished.message
    assert {artifact.name for artifact in libgreet.artifacts} == {artifact.name for artifact in finished.artifacts}
    tarball.write_bytes(content + b"x")
    finished = workspace.build("broken")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "source", "source")
    assert "does not match its checksum" in finished.message


def test_unit_without_a_root_description_fails(workspace, unit) -> None:
    (unit / ".cb" / "build_root.kiwi").unlink()
    finished = workspace.build("broken")
    assert (finished.outcome, finished.step) == (Outcome.FAILURE, "root")
    assert ".cb/build_root.kiwi is missing" in finished.message


def test_attempt_that_hangs_outside_of_the_build_is_an_error(workspace, unit, monkeypatch) -> None:
    def no_answer(*_: object, cancel: threading.Event) -> None:
        assert cancel.wait(LIMIT)
        raise Retryable("was canceled", code="canceled")

    monkeypatch.setattr(workspace.mirror, "export", no_answer)
    finished = workspace.build("broken", limits=Limits(deadline=0.2))
    assert (finished.outcome, finished.code, finished.step) == (Outcome.ERROR, "limit-deadline", "fetch")
    assert finished.message == "fetch: the whole attempt took longer than the limit `deadline`, 0.2 s"


@pytest.mark.parametrize(
    ("script", "limits", "message"),
    [
        ("sleep 60", Limits(silence=1.0), "printed nothing for the limit `silence`, 1 s"),
        ("while :; do echo .; sleep 0.1; done", Limits(time=3.0), "took longer than the limit `time`, 3 s"),
        ("exec yes", Limits(log=MIB), "printed more than the limit `log`, 1 MiB"),
        ("head -c 900M /dev/zero > x; sleep 60", Limits(disk=100 * MIB), "wrote more than the limit `disk`"),
    ],
    ids=["silence", "time", "log", "disk"],
)
@pytest.mark.usefixtures("libgreet")
def test_exceeded_limit_is_a_failure_that_names_it(workspace, unit, script: str, limits: Limits, message: str) -> None:
    rules(unit, script)
    finished = workspace.build("broken", limits=limits)
    assert (finished.outcome, finished.code.partition("-")[0]) == (Outcome.FAILURE, "limit"), finished.message
    assert message in finished.message
    assert finished.log is not None
    assert finished.log.size <= limits.log + 4096


def test_canceled_build_ends_although_it_ignores_signals(workspace, unit, libgreet) -> None:
    rules(unit, "trap '' TERM INT; echo now; sleep 4322")
    cancel, started = threading.Event(), threading.Event()
    assignment = workspace.assignment("broken", Limits(), ())
    reports: list = []
    printed = bytearray()

    def log(piece: bytes) -> None:
        printed.extend(piece)
        if b"\nnow\n" in printed:
            started.set()

    thread = threading.Thread(target=lambda: reports.append(workspace.builder.build(assignment, log, cancel)))
    thread.start()
    assert started.wait(LIMIT)
    cancel.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert reports[0].outcome is Outcome.CANCELED


CHILD = """
import sys
from pathlib import Path
from threading import Event
from cloud_builder.builder.task import task_for_directory
from e2e.package.package_workspace import TARGET, PackageWorkspace
workspace = PackageWorkspace(Path(sys.argv[1]), Path(sys.argv[2]))
write = lambda piece: (sys.stdout.buffer.write(piece), sys.stdout.buffer.flush())
workspace.builder.build_locally(task_for_directory(workspace.unit("broken"), TARGET), write, Event())
"""


def test_leftovers_of_a_killed_runner_are_swept_by_the_next_one(workspace, unit, libgreet, own_cache) -> None:
    rules(unit, "echo now; exec sleep 4321")
    command = python(CHILD, str(workspace.home), str(own_cache))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as runner:
        assert any(line.startswith(b"now") for line in runner.stdout)
        assert workspace.leftovers()
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    workspace.builder.sweep()
    assert workspace.leftovers() == []
    until(lambda: not sleeping(), "the build's process ends")


def sleeping() -> bool:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return b"sleep\x004321\x00" in commands
