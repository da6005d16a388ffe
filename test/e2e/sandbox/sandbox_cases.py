"""Test cases of the sandbox as small programs: `sandbox_cases.py NAME DIRECTORY` runs one as the calling user.

The cases need only the product and support.waiting, so that an ordinary user without the test tools can run them. The
layer is an empty root with the programs of the machine bound into it, a shell among them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from threading import Event
from typing import Any

from cloud_builder.adapters.sandbox.cgroups import Cgroups
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.model.limits import MIB, Limits
from cloud_builder.ports.sandbox import Bind, Confinement, EndReason, RunResult
from support.waiting import LIMIT, until

BUILDER = 1000


class SandboxCase:
    """A sandbox with its directory on disk, and the output of the last run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sandbox = NamespaceSandbox(directory / "work")
        self.cancel = Event()
        self.output = bytearray()
        self.root, self.programs = skeleton(directory / "root")

    @property
    def text(self) -> str:
        return self.output.decode().strip()

    def confined(self, binds: tuple[Bind, ...] = (), above: tuple[Path, ...] = (), **more: Any) -> Confinement:
        return Confinement(layers=(self.root, *above), binds=(*self.programs, *binds), **more)

    def run(self, command: str, **more: Any) -> RunResult:
        return self.run_in(self.confined(**more), "/bin/sh", "-c", command)

    def run_in(self, confinement: Confinement, *command: str) -> RunResult:
        self.output.clear()
        return self.sandbox.run(command, confinement, output=self.output.extend, cancel=self.cancel)

    def output_of(self, command: str, **more: Any) -> str:
        result = self.run(command, **more)
        assert result.status == 0, f"{command}: {result}: {self.text}"
        return self.text


def skeleton(root: Path) -> tuple[Path, tuple[Bind, ...]]:
    """A root that contains only /srv, and the binds that make programs run in it."""
    for name in ("dev", "etc", "proc", "run", "srv/something", "tmp", "usr", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    bound = [Path("/usr")]
    for path in map(Path, ("/bin", "/lib", "/lib64", "/sbin")):
        if path.is_symlink() and not (root / path.name).is_symlink():
            (root / path.name).symlink_to(path.readlink())
        elif path.is_dir() and not path.is_symlink():
            bound.append(path)
    return root, tuple(Bind(path, str(path)) for path in bound)


def alive(marker: str) -> list[int]:
    """Returns the processes whose arguments contain the marker."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                arguments = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in arguments.split(b"\0"):
                found.append(int(process.name))
    return found


def assert_nothing_left(case: SandboxCase) -> None:
    assert list((case.directory / "work").iterdir()) == []


# --- what the program sees ----------------------------------------------------------------------------------------


def root_inside_has_no_rights_outside(case: SandboxCase) -> None:
    assert case.output_of("id -u") == "0"
    effective = case.output_of("grep CapEff /proc/self/status").split()[1]
    assert not int(effective, 16) & (1 << 21), "sys_admin"
    assert case.run("mount -t tmpfs none /mnt").status != 0
    subordinate = case.output_of("cat /proc/self/uid_map").splitlines()
    assert subordinate[0].split() == ["0", str(os.getuid()), "1"]
    assert len(subordinate) == 2


def build_user_has_no_rights(case: SandboxCase) -> None:
    status = case.output_of("cat /proc/self/status", uid=BUILDER)
    fields = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
    assert fields["Uid"] == ["1000"] * 4
    assert fields["Gid"] == ["1000"] * 4
    assert fields["Groups"] == []
    assert fields["NoNewPrivs"] == ["1"]
    assert all(int(fields[name][0], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))


def network_is_only_loopback(case: SandboxCase) -> None:
    assert case.output_of("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", uid=BUILDER) == "lo"
    assert "127.0.0.1" in case.output_of("cat /proc/net/fib_trie")
    assert "lo" in case.output_of("tail -n +3 /proc/net/dev", network=True)
    assert case.output_of("readlink /proc/self/ns/net", network=True) == str(Path("/proc/self/ns/net").readlink())


def namespaces_are_new(case: SandboxCase) -> None:
    for name in ("pid", "mnt", "ipc", "uts", "user", "net"):
        assert case.output_of(f"readlink /proc/self/ns/{name}") != str(Path(f"/proc/self/ns/{name}").readlink()), name
    assert case.output_of("hostname", hostname="builder") == "builder"
    assert case.output_of("ls -d /proc/[0-9]* | wc -l") in ("3", "4", "5")


def kernel_settings_are_read_only(case: SandboxCase) -> None:
    if Path("/proc/sys/kernel").exists():
        assert case.run("echo x > /proc/sys/kernel/hostname").status != 0
    assert case.run("ls /sys/kernel").status != 0


def devices_are_few(case: SandboxCase) -> None:
    names = case.output_of("ls /dev").split()
    assert set(names) == {
        *("fd", "full", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
    }
    assert case.output_of("echo hidden > /dev/null; echo x > /dev/shm/y; cat /dev/shm/y", uid=BUILDER) == "x"


def environment_is_the_given_one(case: SandboxCase) -> None:
    output = case.output_of("/usr/bin/env", environment={"LANG": "C.UTF-8"}, directory="/usr")
    assert {line.split("=")[0] for line in output.splitlines()} <= {"LANG", "PATH", "PWD", "SHLVL", "_"}
    assert "PWD=/usr" in output


def binds_are_visible_and_protected(case: SandboxCase) -> None:
    shown = case.directory / "shown, with:odd names"
    shown.mkdir()
    (shown / "file").write_text("content")
    bind = Bind(shown, "/new/directory")
    assert case.output_of("cat /new/directory/file", binds=(bind,)) == "content"
    assert case.run("touch /new/directory/other", binds=(bind,)).status != 0
    writable = Bind(shown, "/new/directory", writable=True)
    assert case.output_of("echo x > /new/directory/other; echo ok", binds=(writable,)) == "ok"
    assert (shown / "other").stat().st_uid == os.getuid()
    file = Bind(shown / "file", "/single")
    assert case.output_of("cat /single", binds=(file,)) == "content"


def root_of_the_machine_is_read_only(case: SandboxCase) -> None:
    writable = Bind(case.directory, str(case.directory), writable=True)
    command = f"touch {case.directory}/mine /tmp/free; touch /usr/x || echo no"
    result = case.run_in(Confinement(binds=(writable,)), "/bin/sh", "-c", command)
    assert result.status == 0 and case.text.endswith("no")
    assert (case.directory / "mine").exists()
    assert not Path("/tmp/free").exists()


# --- where changes go ---------------------------------------------------------------------------------------------


def changes_are_discarded(case: SandboxCase) -> None:
    assert case.output_of("echo x > /cb-new; rm -rf /srv; ls /cb-new") == "/cb-new"
    assert not Path("/cb-new").exists()
    assert_nothing_left(case)


def changes_are_kept_as_a_layer(case: SandboxCase) -> None:
    upper = case.directory / "layer"
    case.output_of("echo x > /cb-new; chown 1000:1000 /cb-new; rm -rf /srv; touch /tmp/not-kept", upper=upper)
    assert sorted(entry.name for entry in upper.iterdir()) == ["cb-new", "srv"]
    output = case.output_of("stat -c %u:%g /cb-new; test -e /srv || echo gone", above=(upper,))
    assert output.splitlines() == ["1000:1000", "gone"]
    assert sorted(entry.name for entry in case.directory.iterdir()) == ["layer", "root", "work"]
    case.sandbox.remove(upper)
    assert not upper.exists()


def archives_keep_ids(case: SandboxCase) -> None:
    tree, again, archive = (case.directory / name for name in ("tree", "again", "tree.tar.zst"))
    bind = Bind(case.directory, "/bound", writable=True)
    make = (
        "mkdir /bound/tree && cd /bound/tree && echo x > a && chown 1000:33 a && chmod 4755 a && ln -s a b && mkdir c"
    )
    case.output_of(make, binds=(bind,))
    case.sandbox.pack(tree, archive)
    case.sandbox.unpack(archive, again)
    listed = "cd /bound/{} && stat -c '%n %u:%g %a %F' a b c"
    assert case.output_of(listed.format("again"), binds=(bind,)) == case.output_of(listed.format("tree"), binds=(bind,))
    for path in (tree, again):
        case.sandbox.remove(path)
    assert not tree.exists() and not again.exists()


# --- how it ends --------------------------------------------------------------------------------------------------


def status_is_that_of_the_program(case: SandboxCase) -> None:
    assert case.run("exit 7").status == 7
    assert case.run("kill -TERM $$").status == -15
    assert case.run("no-such-program").status == 127
    assert case.run_in(case.confined(), "nothing").status == 127
    assert "nothing" in case.text


def orphans_end_with_the_program(case: SandboxCase) -> None:
    marker = f"{700000 + os.getpid()}"
    assert case.output_of(f"setsid sleep {marker} & echo done", uid=BUILDER) == "done"
    assert alive(marker) == []
    assert_nothing_left(case)


def cancel_ends_all_processes(case: SandboxCase) -> None:
    marker = f"{710000 + os.getpid()}"
    results: list[RunResult] = []
    command = f"trap '' TERM INT; sleep {marker} & setsid sleep {marker} & sleep {marker}"
    thread = threading.Thread(target=lambda: results.append(case.run(command, uid=BUILDER)))
    thread.start()
    until(lambda: len(alive(marker)) == 3, "three processes of the program")
    case.cancel.set()
    thread.join(LIMIT)
    assert results[0].ended_by is EndReason.CANCEL
    assert alive(marker) == []
    assert_nothing_left(case)


def kill_of_the_runner_ends_all_processes(case: SandboxCase) -> None:
    marker = f"{720000 + os.getpid()}"
    runner = subprocess.Popen([sys.executable, __file__, "_sleep", str(case.directory), marker])
    until(lambda: len([pid for pid in alive(marker) if pid != runner.pid]) >= 2, "both processes of the program")
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    until(lambda: not alive(marker), "the end of all processes")
    assert str(case.directory) not in Path("/proc/self/mountinfo").read_text()
    case.sandbox.sweep()
    assert_nothing_left(case)


def _sleep(case: SandboxCase) -> None:
    case.run(f"setsid sleep {sys.argv[3]} & sleep {sys.argv[3]}", uid=BUILDER)


LIMITED = {
    EndReason.TIME: ("sleep 60", Limits(time=0.5)),
    EndReason.SILENCE: ("echo x; sleep 60", Limits(silence=0.5)),
    EndReason.LOG: ("yes", Limits(log=MIB)),
    EndReason.MEMORY: ("head -c 150M /dev/zero | tail | sleep 60", Limits(memory=100 * MIB)),
    EndReason.PROCESSES: ("for i in $(seq 60); do sleep 60 & done; wait", Limits(processes=30)),
    EndReason.DISK: ("head -c 150M /dev/zero > /var/tmp/x; sleep 60", Limits(disk=100 * MIB)),
}


def exceeded_limit_is_named(case: SandboxCase) -> None:
    for reason, (command, limits) in LIMITED.items():
        result = case.run(command, limits=limits)
        assert result.ended_by is reason, (reason, result, case.text[:200])
        assert_nothing_left(case)


def processes_are_counted(case: SandboxCase) -> None:
    many = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait"
    assert case.run(many, uid=BUILDER, limits=Limits(processes=4)).ended_by is EndReason.PROCESSES


def control_group_limits_a_run_exactly(case: SandboxCase) -> None:
    """With a delegated group. The directory stands for one of the kernel: joined, read, removed at the end."""
    base = case.directory / "groups"
    base.mkdir()
    for name in ("controllers", "subtree_control"):
        (base / f"cgroup.{name}").write_text("memory pids")
    (base / "cgroup.procs").write_text("")
    (case.directory / "own").write_text("0::/groups\n")
    case.sandbox = NamespaceSandbox(case.directory / "work", Cgroups(case.directory, case.directory / "own"))
    for file, text, reason in (
        ("memory.events", "oom_kill 1\n", EndReason.MEMORY),
        ("pids.events", "max 1\n", EndReason.PROCESSES),
    ):
        written: dict[str, str] = {}

        def kernel(output: bytes, file: str = file, text: str = text, written: dict[str, str] = written) -> None:
            (group,) = base.glob("cb-build-*")
            written.update({path.name: path.read_text() for path in group.iterdir()})
            for path in group.iterdir():
                path.unlink()
            (group / file).write_text(text)
            (case.directory / "go").touch()

        bind = Bind(case.directory, "/bound")
        confinement = case.confined((bind,), uid=BUILDER, limits=Limits(memory=100 * MIB, processes=50))
        shell = ["/bin/sh", "-c", "echo now; until [ -e /bound/go ]; do sleep 0.1; done; exit 1"]
        result = case.sandbox.run(shell, confinement, output=kernel, cancel=case.cancel)
        assert result.ended_by is reason, result
        assert (written["cgroup.procs"].isdigit(), written["memory.max"]) == (True, str(100 * MIB))
        shutil.rmtree(base / next(base.glob("cb-build-*")))
        (case.directory / "go").unlink()


def system_calls_that_no_build_needs_are_refused(case: SandboxCase) -> None:
    for uid in (0, BUILDER):
        assert case.output_of("grep Seccomp: /proc/self/status | cut -f2", uid=uid) == "2"
        assert case.run("unshare -U true", uid=uid).status != 0
        assert case.run("mount -t tmpfs none /srv", uid=uid).status != 0


def standard_streams_can_be_opened_by_name(case: SandboxCase) -> None:
    assert case.output_of("echo out > /dev/stdout; echo err > /dev/stderr", uid=BUILDER).split() == ["out", "err"]


def setuid_has_no_effect(case: SandboxCase) -> None:
    assert case.output_of("grep ' / / ' /proc/self/mountinfo | grep -c nosuid", uid=BUILDER) == "1"
    assert case.output_of("cp /usr/bin/id /tmp/i; chmod 6755 /tmp/i; /tmp/i -u", uid=BUILDER) == str(BUILDER)


def peak_memory_is_measured(case: SandboxCase) -> None:
    result = case.run("head -c 50M /dev/zero | tail > /dev/null")
    assert 40 * MIB < result.peak_memory < 400 * MIB


def runs_are_parallel(case: SandboxCase) -> None:
    outputs: list[bytes] = []
    confinement = case.confined(uid=BUILDER)
    shell = ["/bin/sh", "-c", "echo $$"]
    threads = [
        threading.Thread(target=lambda: case.sandbox.run(shell, confinement, output=outputs.append, cancel=case.cancel))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == [b"2\n"] * 8
    assert_nothing_left(case)


CASES = (
    root_inside_has_no_rights_outside,
    build_user_has_no_rights,
    network_is_only_loopback,
    namespaces_are_new,
    kernel_settings_are_read_only,
    devices_are_few,
    environment_is_the_given_one,
    binds_are_visible_and_protected,
    root_of_the_machine_is_read_only,
    changes_are_discarded,
    changes_are_kept_as_a_layer,
    archives_keep_ids,
    status_is_that_of_the_program,
    orphans_end_with_the_program,
    cancel_ends_all_processes,
    kill_of_the_runner_ends_all_processes,
    exceeded_limit_is_named,
    processes_are_counted,
    control_group_limits_a_run_exactly,
    system_calls_that_no_build_needs_are_refused,
    standard_streams_can_be_opened_by_name,
    setuid_has_no_effect,
    peak_memory_is_measured,
    runs_are_parallel,
)

if __name__ == "__main__":
    globals()[sys.argv[1]](SandboxCase(Path(sys.argv[2])))
