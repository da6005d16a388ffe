"""What a sandbox must do, as small programs: `sandbox_cases.py NAME DIRECTORY` runs one as whoever calls it.

They need nothing but the product and support.waiting, so that an ordinary user without the test tools can run them. The
layer is an empty root with the programs of the machine bound into it: they are there, and a shell is among them.
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


class Trial:
    """A sandbox with its place on disk, and what the last run said."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.sandbox = NamespaceSandbox(place / "work")
        self.cancel = Event()
        self.said = bytearray()
        self.root, self.programs = skeleton(place / "root")

    @property
    def text(self) -> str:
        return self.said.decode().strip()

    def confined(self, binds: tuple[Bind, ...] = (), above: tuple[Path, ...] = (), **more: Any) -> Confinement:
        return Confinement(layers=(self.root, *above), binds=(*self.programs, *binds), **more)

    def run(self, command: str, **more: Any) -> RunResult:
        return self.run_in(self.confined(**more), "/bin/sh", "-c", command)

    def run_in(self, confinement: Confinement, *command: str) -> RunResult:
        self.said.clear()
        return self.sandbox.run(command, confinement, output=self.said.extend, cancel=self.cancel)

    def says(self, command: str, **more: Any) -> str:
        ended = self.run(command, **more)
        assert ended.status == 0, f"{command}: {ended}: {self.text}"
        return self.text


def skeleton(root: Path) -> tuple[Path, tuple[Bind, ...]]:
    """A root with nothing of its own but /srv, and what makes programs run in it."""
    for name in ("dev", "etc", "proc", "run", "srv/something", "tmp", "usr", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    bound = [Path("/usr")]
    for place in map(Path, ("/bin", "/lib", "/lib64", "/sbin")):
        if place.is_symlink() and not (root / place.name).is_symlink():
            (root / place.name).symlink_to(place.readlink())
        elif place.is_dir() and not place.is_symlink():
            bound.append(place)
    return root, tuple(Bind(place, str(place)) for place in bound)


def alive(marker: str) -> list[int]:
    """Processes whose arguments contain the marker."""
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


def leaves_nothing(trial: Trial) -> None:
    assert list((trial.place / "work").iterdir()) == []


# --- what the program sees ----------------------------------------------------------------------------------------


def root_inside_is_nobody_outside(trial: Trial) -> None:
    assert trial.says("id -u") == "0"
    effective = trial.says("grep CapEff /proc/self/status").split()[1]
    assert not int(effective, 16) & (1 << 21), "sys_admin"
    assert trial.run("mount -t tmpfs none /mnt").status != 0
    subordinate = trial.says("cat /proc/self/uid_map").splitlines()
    assert subordinate[0].split() == ["0", str(os.getuid()), "1"]
    assert len(subordinate) == 2


def build_user_has_nothing(trial: Trial) -> None:
    status = trial.says("cat /proc/self/status", uid=BUILDER)
    fields = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
    assert fields["Uid"] == ["1000"] * 4
    assert fields["Gid"] == ["1000"] * 4
    assert fields["Groups"] == []
    assert fields["NoNewPrivs"] == ["1"]
    assert all(int(fields[name][0], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))


def network_is_only_loopback(trial: Trial) -> None:
    assert trial.says("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", uid=BUILDER) == "lo"
    assert "127.0.0.1" in trial.says("cat /proc/net/fib_trie")
    assert "lo" in trial.says("tail -n +3 /proc/net/dev", network=True)
    assert trial.says("readlink /proc/self/ns/net", network=True) == str(Path("/proc/self/ns/net").readlink())


def namespaces_are_its_own(trial: Trial) -> None:
    for name in ("pid", "mnt", "ipc", "uts", "user", "net"):
        assert trial.says(f"readlink /proc/self/ns/{name}") != str(Path(f"/proc/self/ns/{name}").readlink()), name
    assert trial.says("hostname", hostname="builder") == "builder"
    assert trial.says("ls -d /proc/[0-9]* | wc -l") in ("3", "4", "5")


def kernel_switches_are_read_only(trial: Trial) -> None:
    if Path("/proc/sys/kernel").exists():
        assert trial.run("echo x > /proc/sys/kernel/hostname").status != 0
    assert trial.run("ls /sys/kernel").status != 0


def devices_are_few(trial: Trial) -> None:
    names = trial.says("ls /dev").split()
    assert set(names) == {
        *("fd", "full", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
    }
    assert trial.says("echo hidden > /dev/null; echo x > /dev/shm/y; cat /dev/shm/y", uid=BUILDER) == "x"


def environment_is_the_given_one(trial: Trial) -> None:
    said = trial.says("/usr/bin/env", environment={"LANG": "C.UTF-8"}, directory="/usr")
    assert {line.split("=")[0] for line in said.splitlines()} <= {"LANG", "PATH", "PWD", "SHLVL", "_"}
    assert "PWD=/usr" in said


def binds_show_and_protect(trial: Trial) -> None:
    shown = trial.place / "shown, with:odd names"
    shown.mkdir()
    (shown / "file").write_text("content")
    bind = Bind(shown, "/new/place")
    assert trial.says("cat /new/place/file", binds=(bind,)) == "content"
    assert trial.run("touch /new/place/other", binds=(bind,)).status != 0
    assert trial.says("echo x > /new/place/other; echo ok", binds=(Bind(shown, "/new/place", writable=True),)) == "ok"
    assert (shown / "other").stat().st_uid == os.getuid()
    one = Bind(shown / "file", "/single")
    assert trial.says("cat /single", binds=(one,)) == "content"


def machine_is_shown_read_only(trial: Trial) -> None:
    writable = Bind(trial.place, str(trial.place), writable=True)
    command = f"touch {trial.place}/mine /tmp/free; touch /usr/x || echo no"
    ended = trial.run_in(Confinement(binds=(writable,)), "/bin/sh", "-c", command)
    assert ended.status == 0 and trial.text.endswith("no")
    assert (trial.place / "mine").exists()
    assert not Path("/tmp/free").exists()


# --- where changes go ---------------------------------------------------------------------------------------------


def changes_are_thrown_away(trial: Trial) -> None:
    assert trial.says("echo x > /cb-new; rm -rf /srv; ls /cb-new") == "/cb-new"
    assert not Path("/cb-new").exists()
    leaves_nothing(trial)


def changes_are_kept_as_a_layer(trial: Trial) -> None:
    upper = trial.place / "layer"
    trial.says("echo x > /cb-new; chown 1000:1000 /cb-new; rm -rf /srv; touch /tmp/not-kept", upper=upper)
    assert sorted(entry.name for entry in upper.iterdir()) == ["cb-new", "srv"]
    said = trial.says("stat -c %u:%g /cb-new; test -e /srv || echo gone", above=(upper,))
    assert said.splitlines() == ["1000:1000", "gone"]
    assert sorted(entry.name for entry in trial.place.iterdir()) == ["layer", "root", "work"]
    trial.sandbox.remove(upper)
    assert not upper.exists()


def archives_keep_ids(trial: Trial) -> None:
    tree, again, archive = (trial.place / name for name in ("tree", "again", "tree.tar.zst"))
    bind = Bind(trial.place, "/place", writable=True)
    make = (
        "mkdir /place/tree && cd /place/tree && echo x > a && chown 1000:33 a && chmod 4755 a && ln -s a b && mkdir c"
    )
    trial.says(make, binds=(bind,))
    trial.sandbox.pack(tree, archive)
    trial.sandbox.unpack(archive, again)
    listed = "cd /place/{} && stat -c '%n %u:%g %a %F' a b c"
    assert trial.says(listed.format("again"), binds=(bind,)) == trial.says(listed.format("tree"), binds=(bind,))
    for path in (tree, again):
        trial.sandbox.remove(path)
    assert not tree.exists() and not again.exists()


# --- how it ends --------------------------------------------------------------------------------------------------


def status_is_the_programs(trial: Trial) -> None:
    assert trial.run("exit 7").status == 7
    assert trial.run("kill -TERM $$").status == -15
    assert trial.run("no-such-program").status == 127
    assert trial.run_in(trial.confined(), "nothing").status == 127
    assert "nothing" in trial.text


def orphans_end_with_it(trial: Trial) -> None:
    marker = f"{700000 + os.getpid()}"
    assert trial.says(f"setsid sleep {marker} & echo done", uid=BUILDER) == "done"
    assert alive(marker) == []
    leaves_nothing(trial)


def cancel_ends_all(trial: Trial) -> None:
    marker = f"{710000 + os.getpid()}"
    ended: list[RunResult] = []
    command = f"trap '' TERM INT; sleep {marker} & setsid sleep {marker} & sleep {marker}"
    thread = threading.Thread(target=lambda: ended.append(trial.run(command, uid=BUILDER)))
    thread.start()
    until(lambda: len(alive(marker)) == 3, "three processes of the program")
    trial.cancel.set()
    thread.join(LIMIT)
    assert ended[0].ended_by is EndReason.CANCEL
    assert alive(marker) == []
    leaves_nothing(trial)


def death_of_the_runner_ends_all(trial: Trial) -> None:
    marker = f"{720000 + os.getpid()}"
    runner = subprocess.Popen([sys.executable, __file__, "_sleep", str(trial.place), marker])
    until(lambda: len([pid for pid in alive(marker) if pid != runner.pid]) >= 2, "both processes of the program")
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    until(lambda: not alive(marker), "the end of all processes")
    assert str(trial.place) not in Path("/proc/self/mountinfo").read_text()
    trial.sandbox.sweep()
    leaves_nothing(trial)


def _sleep(trial: Trial) -> None:
    trial.run(f"setsid sleep {sys.argv[3]} & sleep {sys.argv[3]}", uid=BUILDER)


LIMITED = {
    EndReason.TIME: ("sleep 60", Limits(time=0.5)),
    EndReason.SILENCE: ("echo x; sleep 60", Limits(silence=0.5)),
    EndReason.LOG: ("yes", Limits(log=MIB)),
    EndReason.MEMORY: ("head -c 150M /dev/zero | tail | sleep 60", Limits(memory=100 * MIB)),
    EndReason.PROCESSES: ("for i in $(seq 60); do sleep 60 & done; wait", Limits(processes=30)),
    EndReason.DISK: ("head -c 150M /dev/zero > /var/tmp/x; sleep 60", Limits(disk=100 * MIB)),
}


def limits_end_it_by_name(trial: Trial) -> None:
    for reason, (command, limits) in LIMITED.items():
        ended = trial.run(command, limits=limits)
        assert ended.ended_by is reason, (reason, ended, trial.text[:200])
        leaves_nothing(trial)


def processes_are_counted(trial: Trial) -> None:
    many = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait"
    assert trial.run(many, uid=BUILDER, limits=Limits(processes=4)).ended_by is EndReason.PROCESSES


def a_group_of_its_own_limits_it_exactly(trial: Trial) -> None:
    """Where groups are delegated. The directory stands for the kernel's: it is joined, read, and gone at the end."""
    base = trial.place / "groups"
    base.mkdir()
    for name in ("controllers", "subtree_control"):
        (base / f"cgroup.{name}").write_text("memory pids")
    (base / "cgroup.procs").write_text("")
    (trial.place / "own").write_text("0::/groups\n")
    trial.sandbox = NamespaceSandbox(trial.place / "work", Cgroups(trial.place, trial.place / "own"))
    for file, text, reason in (
        ("memory.events", "oom_kill 1\n", EndReason.MEMORY),
        ("pids.events", "max 1\n", EndReason.PROCESSES),
    ):
        written: dict[str, str] = {}

        def kernel(said: bytes, file: str = file, text: str = text, written: dict[str, str] = written) -> None:
            (group,) = base.glob("cb-build-*")
            written.update({one.name: one.read_text() for one in group.iterdir()})
            for one in group.iterdir():
                one.unlink()
            (group / file).write_text(text)
            (trial.place / "go").touch()

        bind = Bind(trial.place, "/place")
        confinement = trial.confined((bind,), uid=BUILDER, limits=Limits(memory=100 * MIB, processes=50))
        shell = ["/bin/sh", "-c", "echo now; until [ -e /place/go ]; do sleep 0.1; done; exit 1"]
        ended = trial.sandbox.run(shell, confinement, output=kernel, cancel=trial.cancel)
        assert ended.ended_by is reason, ended
        assert (written["cgroup.procs"].isdigit(), written["memory.max"]) == (True, str(100 * MIB))
        shutil.rmtree(base / next(base.glob("cb-build-*")))
        (trial.place / "go").unlink()


def system_calls_that_no_build_needs_are_refused(trial: Trial) -> None:
    for uid in (0, BUILDER):
        assert trial.says("grep Seccomp: /proc/self/status | cut -f2", uid=uid) == "2"
        assert trial.run("unshare -U true", uid=uid).status != 0
        assert trial.run("mount -t tmpfs none /srv", uid=uid).status != 0


def standard_streams_can_be_opened_by_name(trial: Trial) -> None:
    assert trial.says("echo out > /dev/stdout; echo err > /dev/stderr", uid=BUILDER).split() == ["out", "err"]


def setuid_has_no_effect(trial: Trial) -> None:
    assert trial.says("grep ' / / ' /proc/self/mountinfo | grep -c nosuid", uid=BUILDER) == "1"
    assert trial.says("cp /usr/bin/id /tmp/i; chmod 6755 /tmp/i; /tmp/i -u", uid=BUILDER) == str(BUILDER)


def peak_memory_is_told(trial: Trial) -> None:
    ended = trial.run("head -c 50M /dev/zero | tail > /dev/null")
    assert 40 * MIB < ended.peak_memory < 400 * MIB


def many_run_at_once(trial: Trial) -> None:
    said: list[bytes] = []
    confinement = trial.confined(uid=BUILDER)
    shell = ["/bin/sh", "-c", "echo $$"]
    threads = [
        threading.Thread(target=lambda: trial.sandbox.run(shell, confinement, output=said.append, cancel=trial.cancel))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [b"2\n"] * 8
    leaves_nothing(trial)


CASES = (
    root_inside_is_nobody_outside,
    build_user_has_nothing,
    network_is_only_loopback,
    namespaces_are_its_own,
    kernel_switches_are_read_only,
    devices_are_few,
    environment_is_the_given_one,
    binds_show_and_protect,
    machine_is_shown_read_only,
    changes_are_thrown_away,
    changes_are_kept_as_a_layer,
    archives_keep_ids,
    status_is_the_programs,
    orphans_end_with_it,
    cancel_ends_all,
    death_of_the_runner_ends_all,
    limits_end_it_by_name,
    processes_are_counted,
    a_group_of_its_own_limits_it_exactly,
    system_calls_that_no_build_needs_are_refused,
    standard_streams_can_be_opened_by_name,
    setuid_has_no_effect,
    peak_memory_is_told,
    many_run_at_once,
)

if __name__ == "__main__":
    globals()[sys.argv[1]](Trial(Path(sys.argv[2])))
