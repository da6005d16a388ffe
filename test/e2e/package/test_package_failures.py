"""How builds end that do not succeed: each with its outcome, its cause and nothing left behind."""

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
    """Runs a shell script where the unit would be compiled."""
    (unit / "build.sh").write_text(f"#!/bin/bash\n{script}\n")
    (unit / "Makefile").write_text("all:\n\tbash ./build.sh\ncheck install clean:\n")


def test_a_missing_build_dependency_is_named(workshop) -> None:
    finished = workshop.build("greet")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "build-dependency", "dependencies")
    assert finished.message.startswith("Build-Depends: libgreet-dev (>= 1.0) cannot be satisfied: no such package")
    assert finished.hint


def test_a_version_that_is_too_old_is_told_with_what_there_is(workshop, unit, libgreet) -> None:
    control = unit / "debian" / "control"
    control.write_text(control.read_text().replace("(= 13)", "(= 13), libgreet-dev (>= 7), make (>= 99)"))
    finished = workshop.build("broken", libgreet)
    assert finished.outcome is Outcome.FAILURE
    assert finished.message.startswith(
        "Build-Depends: libgreet-dev (>= 7) cannot be satisfied: the available version is 1.0.0; "
        "Build-Depends: make (>= 99) cannot be satisfied: there is 4.3-"
    )


def test_a_failing_test_is_the_cause(workshop, unit) -> None:
    source = unit / "greet.c"
    source.write_text(source.read_text().replace('"Good morning"', '"Bad morning"'))
    finished = workshop.build("broken")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "build-failed", "build")
    assert finished.message.splitlines()[0] == "libgreet 1.0.0 does not build: FAIL: 8 is morning"
    assert "returned exit code 2" in finished.message
    assert finished.artifacts == ()
    assert "FAIL: the text is composed" in workshop.whole_log(finished)


def test_a_compilers_error_is_the_cause(workshop, unit) -> None:
    source = unit / "greet.c"
    source.write_text(source.read_text().replace("return NULL;\n}", "return NULL\n}", 1))
    finished = workshop.build("broken")
    assert "greet.c:26:1: error: expected ‘;’ before ‘}’ token" in finished.message.splitlines()[0]


def test_a_build_has_no_network_no_rights_and_a_fixed_world(workshop, unit) -> None:
    rules(
        unit,
        """
        fail() { echo "FAIL: $1"; exit 1; }
        (exec 3<>/dev/tcp/deb.debian.org/80) 2>/dev/null && fail 'there is a network'
        grep -v -e Inter -e face -e lo: /proc/net/dev && fail 'there is a network card'
        [ "$(id -u):$(id -g):$(id -un)" = 1000:1000:builder ] || fail "the user is $(id)"
        [ "$(hostname)" = localhost ] || fail "the host is $(hostname)"
        [ "$PWD" = /build/libgreet-1.0.0 ] || fail "built at $PWD"
        [ "$TZ $LC_ALL $SOURCE_DATE_EPOCH $(umask)" = 'UTC C.UTF-8 1790841600 0022' ] || fail 'the world is not fixed'
        [ "$(stat -c %Y greet.c)" = 1790841600 ] || fail 'times of sources are not fixed'
        [ ! -e .cb ] || fail '.cb is in the source'
        touch /usr/bin/x 2>/dev/null && fail 'the root can be written to'
        grep -q 'NoNewPrivs:.*1' /proc/self/status || fail 'new privileges'
        echo 'FAIL: all is well'; exit 1
        """,
    )
    finished = workshop.build("broken")
    assert finished.message.splitlines()[0].endswith("FAIL: all is well"), finished.message


def test_a_dsc_with_its_tarballs_is_built(workshop, unit, libgreet, tmp_path: Path) -> None:
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
    finished = workshop.build("broken")
    assert finished.outcome is Outcome.SUCCESS, finished.message
    assert {artifact.name for artifact in libgreet.artifacts} == {artifact.name for artifact in finished.artifacts}
    tarball.write_bytes(content + b"x")
    finished = workshop.build("broken")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "source", "source")
    assert "does not match its checksum" in finished.message


def test_a_unit_without_a_root_description_is_a_failure(workshop, unit) -> None:
    (unit / ".cb" / "build_root.kiwi").unlink()
    finished = workshop.build("broken")
    assert (finished.outcome, finished.step) == (Outcome.FAILURE, "root")
    assert ".cb/build_root.kiwi is missing" in finished.message


def test_an_attempt_that_hangs_outside_of_the_build_ends_as_an_error(workshop, unit, monkeypatch) -> None:
    def no_answer(*_: object, cancel: threading.Event) -> None:
        assert cancel.wait(LIMIT)
        raise Retryable("was canceled", code="canceled")

    monkeypatch.setattr(workshop.mirror, "export", no_answer)
    finished = workshop.build("broken", limits=Limits(deadline=0.2))
    assert (finished.outcome, finished.code, finished.step) == (Outcome.ERROR, "limit-deadline", "fetch")
    assert finished.message == "fetch: the whole attempt took longer than the limit `deadline`, 0.2 s"


@pytest.mark.parametrize(
    ("script", "limits", "told"),
    [
        ("sleep 60", Limits(silence=1.0), "printed nothing for the limit `silence`, 1 s"),
        ("while :; do echo .; sleep 0.1; done", Limits(time=3.0), "took longer than the limit `time`, 3 s"),
        ("exec yes", Limits(log=MIB), "printed more than the limit `log`, 1 MiB"),
        ("head -c 900M /dev/zero > x; sleep 60", Limits(disk=100 * MIB), "wrote more than the limit `disk`"),
    ],
    ids=["silence", "time", "log", "disk"],
)
@pytest.mark.usefixtures("libgreet")
def test_a_limit_is_a_failure_that_names_it(workshop, unit, script: str, limits: Limits, told: str) -> None:
    rules(unit, script)
    finished = workshop.build("broken", limits=limits)
    assert (finished.outcome, finished.code.partition("-")[0]) == (Outcome.FAILURE, "limit"), finished.message
    assert told in finished.message
    assert finished.log is not None
    assert finished.log.size <= limits.log + 4096


def test_a_canceled_build_ends_although_it_ignores_signals(workshop, unit, libgreet) -> None:
    rules(unit, "trap '' TERM INT; echo now; sleep 4322")
    cancel, begun = threading.Event(), threading.Event()
    order = workshop.order("broken", Limits(), ())
    ended: list = []
    said = bytearray()

    def log(piece: bytes) -> None:
        said.extend(piece)
        if b"\nnow\n" in said:
            begun.set()

    thread = threading.Thread(target=lambda: ended.append(workshop.builder.build(order, log, cancel)))
    thread.start()
    assert begun.wait(LIMIT)
    cancel.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert ended[0].outcome is Outcome.CANCELED


CHILD = """
import sys
from pathlib import Path
from threading import Event
from e2e.package.package_workspace import TARGET, PackageWorkspace
shop = PackageWorkspace(Path(sys.argv[1]), Path(sys.argv[2]))
write = lambda piece: (sys.stdout.buffer.write(piece), sys.stdout.buffer.flush())
shop.builder.build_directory(shop.unit("broken"), TARGET, log=write, cancel=Event())
"""


def test_what_a_killed_runner_leaves_is_swept_by_the_next(workshop, unit, libgreet, own_cache) -> None:
    rules(unit, "echo now; exec sleep 4321")
    command = python(CHILD, str(workshop.home), str(own_cache))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as runner:
        assert any(line.startswith(b"now") for line in runner.stdout)
        assert workshop.left_behind()
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    workshop.builder.sweep()
    assert workshop.left_behind() == []
    until(lambda: not sleeping(), "the build's process ends")


def sleeping() -> bool:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return b"sleep\x004321\x00" in commands
