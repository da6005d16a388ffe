"""Careless and hostile builds: each ends within its limit, with the true reason, and harms nobody.

After every line here a harmless job runs on the same builder and succeeds, and nothing of the attack is left
(conftest.py). doc/reference/hostile-builds.md is the same table for people.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from cloud_builder.model.limits import MIB, Limits

SMALL = Limits(time=300, silence=120, memory=200 * MIB, disk=100 * MIB, log=MIB, processes=64)
"""Time and silence are those that a harmless build keeps on a busy machine."""
SILENT = SMALL.model_copy(update={"silence": 2.0})
ENDLESS = SMALL.model_copy(update={"time": 4.0})

LIMITED = {
    "forks without end": ("f() { f | f & }; f; sleep 60", "processes", "started more than the limit `processes`, 64"),
    "threads without end": (
        """cat > t.c <<'C'
#include <pthread.h>
#include <unistd.h>
static void *nap(void *x) { pause(); return x; }
int main(void) { pthread_t t; for (;;) if (pthread_create(&t, 0, nap, 0)) sleep(1); }
C
gcc -pthread t.c -o t && (ulimit -s 256; ./t)""",
        "processes",
        "started more than the limit `processes`, 64",
    ),
    "one process fills memory": (
        "perl -e '@x = map { \"x\" x 1e6 } 1..300; sleep 60'",
        "memory",
        "used more than the limit `memory`, 200 MiB",
    ),
    "fills one big piece of memory": (
        "perl -e '$x = \"x\" x 9e8; sleep 60'",
        "memory",
        "used more than the limit `memory`, 200 MiB",
    ),
    "many processes fill memory": (
        "for i in 1 2 3 4 5 6; do perl -e '$x = \"x\" x 5e7; sleep 60' & done; wait",
        "memory",
        "used more than the limit `memory`, 200 MiB",
    ),
    "fills /dev/shm": (
        "head -c 150M /dev/zero > /dev/shm/x; perl -e '$x = \"x\" x 8e7; sleep 60'",
        "memory",
        "used more than the limit `memory`, 200 MiB",
    ),
    "hides memory in memfds": (
        """cat > m.c <<'C'
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
static char page[1 << 20];
int main(void) { int f = memfd_create("x", 0); for (int i = 0; i < 400; i++) write(f, page, sizeof page); sleep(60); }
C
gcc -w m.c -o m && ./m""",
        "memory",
        "used more than the limit `memory`, 200 MiB",
    ),
    "hides memory in shared mappings": (
        """cat > s.c <<'C'
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) { memset(mmap(0, 4e8, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 1, 4e8); sleep(60); }
C
gcc -w s.c -o s && ./s""",
        "memory",
        "used more than the limit `memory`, 200 MiB",
    ),
    "fills the disk": ("head -c 300M /dev/zero > x; sleep 60", "disk", "wrote more than the limit `disk`, 100 MiB"),
    "fills /tmp": ("head -c 300M /dev/zero > /tmp/x; sleep 60", "disk", "wrote more than the limit `disk`, 100 MiB"),
    "fills the list of files": (
        "perl -e 'for $i (1..60000) { open F, \">f$i\" } sleep 60'",
        "disk",
        "wrote more than the limit `disk`, 100 MiB (every file counts 4 KiB at least)",
    ),
    "prints without end": ("exec yes", "log", "printed more than the limit `log`, 1 MiB"),
    "prints a line without end": ("exec tr '\\0' x < /dev/zero", "log", "printed more than the limit `log`, 1 MiB"),
    "prints garbage": ("exec cat /dev/urandom", "log", "printed more than the limit `log`, 1 MiB"),
    "sleeps for ever": ("exec sleep infinity", "silence", "printed nothing for the limit `silence`, 2 s"),
    "is busy for ever": ("while :; do echo .; sleep 0.2; done", "time", "took longer than the limit `time`, 4 s"),
    "ignores signals": (
        "trap '' TERM INT HUP QUIT; while :; do echo .; sleep 0.2; done",
        "time",
        "took longer than the limit `time`, 4 s",
    ),
    "stops itself": ("kill -STOP $$", "silence", "printed nothing for the limit `silence`, 2 s"),
}


@pytest.mark.parametrize("attack", LIMITED)
def test_a_limit_ends_it_by_name(hostile, attack: str) -> None:
    script, limit, message = LIMITED[attack]
    finished = hostile.build(script, {"silence": SILENT, "time": ENDLESS}.get(limit, SMALL))
    assert (finished.outcome, finished.code) == ("failure", f"limit-{limit}"), (
        finished.message + hostile.workspace.log_text()
    )
    assert message in finished.message
    assert finished.hint
    assert finished.log.size <= SMALL.log + 4096


REFUSED = {
    "kills everything": ("kill -9 -1; sleep 1", "killed", "killed by SIGKILL, and not by the runner"),
    "kills its parent": (
        "kill -9 $PPID; sleep 1",
        "build-failed",
        "debian/rules binary subprocess was killed by signal 9",
    ),
    "needs the network": (
        'perl -MIO::Socket::INET -e \'IO::Socket::INET->new("192.0.2.1:80") or die "error: $!\\n"\'',
        "build-failed",
        "error: Network is unreachable",
    ),
    "writes to the root": ("touch /usr/bin/evil", "build-failed", "cannot touch '/usr/bin/evil': Permission denied"),
    "does not compile in binary garbage": (
        "printf '\\377\\376\\033[2J\\001 error: \\200\\n\\360\\237\\n'; exit 1",
        "build-failed",
        "does not build",
    ),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_it_fails_with_the_true_reason(hostile, attack: str) -> None:
    script, code, message = REFUSED[attack]
    finished = hostile.build(script, SMALL)
    assert (finished.outcome, finished.code) == ("failure", code), finished.message
    assert message in finished.message
    assert "\x1b" not in finished.message
    assert finished.hint


# What must have no effect: the script says `BAD: …` when it had one, and the build must be none the worse for it.
HARMLESS = {
    "another process's memory (ptrace)": "perl -e 'exit(syscall(101, 0, 0, 0, 0) == -1 ? 1 : 0)' && bad ptrace",
    "the kernel's keys (keyctl)": "perl -e 'exit(syscall(250, 0, -3, 1) == -1 ? 1 : 0)' && bad keyctl",
    "bpf": "perl -e 'exit(syscall(321, 0, 0, 0) == -1 && $!{EPERM} ? 1 : 0)' && bad bpf",
    "io_uring": "perl -e 'exit(syscall(425, 1, 0) == -1 && $!{EPERM} ? 1 : 0)' && bad io_uring",
    "perf events": "perl -e 'exit(syscall(298, 0, 0, 0, 0, 0) == -1 && $!{EPERM} ? 1 : 0)' && bad perf",
    "file handles": "perl -e 'exit(syscall(304, 0, 0, 0) == -1 && $!{EPERM} ? 1 : 0)' && bad handles",
    "calls of 32 bit x32": "perl -e 'exit(syscall(0x40000027) == -1 ? 1 : 0)' && bad x32",
    "the hypervisor (vsock)": "perl -e 'exit(socket(S, 40, 1, 0) ? 0 : 1)' && bad vsock",
    "mounts": "mount -t tmpfs none /tmp && bad mount; mount --bind /etc /tmp && bad bind",
    "user namespaces of its own": "unshare -U true && bad 'user namespace'; unshare -r -m true && bad mounts",
    "other namespaces": "nsenter -t 1 -m true && bad nsenter; unshare -n true && bad 'net namespace'",
    "chroot": "chroot / true && bad chroot",
    "setuid programs": (
        "cp /usr/bin/id i; chmod 6755 i; [ $(./i -u) = 1000 ] || bad setuid; "
        "[ -u /bin/su ] && (echo | su -c id) 2>/dev/null | grep -q uid=0 && bad su"
    ),
    "device nodes": "mknod d b 254 0 && bad block; mknod c c 1 1 && bad char; ls /dev/vda /dev/mem && bad devices",
    "file capabilities": "setcap cap_sys_admin+ep $0 && bad setcap",
    "pid 1": (
        "kill -9 1 && [ ! -d /proc/1 ] && bad 'pid 1 is gone'; "
        "cat /proc/1/environ && bad environ; ls /proc/1/fd/ && bad fds"
    ),
    "the kernel's switches": (
        "echo 1 > /proc/sys/vm/drop_caches && bad sysctl; echo b > /proc/sysrq-trigger && bad sysrq; "
        "head -c1 /proc/kcore && bad kcore; [ -e /sys/kernel ] && bad sys"
    ),
    "priorities": "nice -n -5 true 2>&1 | grep -q denied || bad nice; echo -999 > /proc/self/oom_score_adj && bad oom",
    "limits": "ulimit -u unlimited && bad nproc; ulimit -n unlimited && bad files",
    "daemons that outlive it": "(setsid bash -c '(exec -a attack-daemon sleep 1000) & disown' > /dev/null 2>&1 &)",
    "a daemon that holds the log": "(setsid sleep 1000 &)",
    "file names": "touch $'new\\nline' $'\\377\\376' $'\\033[2J' -- -rf; mkdir -p $(printf 'd/%.0s' {1..500})",
    "a directory that nobody may read": "mkdir -p locked/inner && chmod 0 locked/inner locked",
    "its own standard streams": "echo x > /dev/stdout || bad stdout; echo x > /dev/stderr || bad stderr",
}


@pytest.mark.parametrize("attack", HARMLESS)
def test_it_has_no_effect(hostile, attack: str) -> None:
    script = f'bad() {{ echo "BAD: $*"; }}\n{HARMLESS[attack]}\ntrue'
    finished = hostile.build(script, SMALL.model_copy(update={"memory": 1024 * MIB}))
    assert "BAD: " not in hostile.workspace.log.decode(errors="replace").replace('echo "BAD: ', "")
    assert finished.outcome == "success", finished.message


def test_what_is_the_runners_is_not_visible(hostile) -> None:
    """Looks for the home, the store, a key, the processes and sockets of others, its environment."""
    secret = hostile.workspace.home / "signing-key"
    secret.write_text("TOP-SECRET")
    os.environ["CB_TEST_SECRET"] = "TOP-SECRET"
    paths = [secret, hostile.workspace.home, hostile.workspace.work, Path.home() / ".cache", Path(__file__)]
    looks = "\n".join(f'[ ! -e "{path}" ] || echo "BAD: {path}"' for path in paths)
    script = f"""{looks}
    [ "$(ls /proc | grep -c '^[0-9]')" -lt 20 ] || echo 'BAD: processes'
    grep -rqs TOP-[S]ECRET /root /home /var/tmp /tmp /run /srv /opt /mnt && echo 'BAD: secret'
    grep -aqs TOP-[S]ECRET /proc/*/environ /proc/*/cmdline && echo 'BAD: environment'
    for fd in /proc/self/fd/*; do
        case $(readlink $fd) in *home*|*store*|socket:*) echo "BAD: $(readlink $fd)";; esac
    done
    true"""
    finished = hostile.build(script, SMALL)
    del os.environ["CB_TEST_SECRET"]
    assert finished.outcome == "success", finished.message
    assert "BAD: " not in hostile.workspace.log_text()


# After the .deb is made and before the .changes is: what the build lists as its files.
OUTPUTS = {
    "a name with ..": ("echo '../../etc/passwd misc optional' >> debian/files", "badly formed file name in files list"),
    "an absolute name": ("echo '/etc/passwd misc optional' >> debian/files", "badly formed file name in files list"),
    "a link to the machine": (
        "ln -s /etc/passwd ../evil.txt; echo 'evil.txt misc optional' >> debian/files",
        "evil.txt is not a regular file",
    ),
    "a package that is a link": (
        "mv ../hostile_1.0_all.deb ../x; ln -s x ../hostile_1.0_all.deb",
        "hostile_1.0_all.deb is not a regular file",
    ),
    "a package that is none": ("echo rubbish > ../hostile_1.0_all.deb", "hostile_1.0_all.deb"),
    "a fifo": ("rm ../*.deb; mkfifo ../hostile_1.0_all.deb", "printed nothing for the limit `silence`, 2 s"),
    "two .changes": ("cp debian/control ../other.changes", "left 2 .changes files instead of one"),
    "nothing": ("rm -f ../*.deb; : > debian/files", "does not build"),
    "a package whose control file explodes": (
        "mkdir -p x/DEBIAN; cp debian/hostile/DEBIAN/control x/DEBIAN; truncate -s 90M x/DEBIAN/md5sums; "
        "dpkg-deb -Zgzip --build x ..",
        "dpkg-deb",
    ),
    "a file that cannot be read": ("chmod 0 ../*.deb", "hostile_1.0_all.deb"),
    "holes": (
        "truncate -s 200M ../hole.bin; echo 'hole.bin misc optional' >> debian/files",
        "more than the limit `disk`, 100 MiB",
    ),
}


@pytest.mark.parametrize("attack", OUTPUTS)
def test_outputs_that_are_not_what_they_should_be_are_refused(hostile, attack: str) -> None:
    script, message = OUTPUTS[attack]
    finished = hostile.build("true", SILENT if attack == "a fifo" else SMALL, after=script)
    assert finished.outcome == "failure", (finished.code, finished.message)
    assert message in finished.message, finished.message
    assert finished.artifacts == ()
    assert finished.message and finished.hint


# Written behind the tools' back: stops dpkg-buildpackage (pid 2) while dpkg-genchanges is at work, waits for the end of
# that, lies, and lets dpkg-buildpackage go on. One of the listed files is a FIFO, which both tools open once for each
# digest: dpkg-genchanges cannot end before the liar has seen it.
BEHIND = """
[ ! -e /build/gate.txt ] || exit 0
mkfifo /build/gate.txt
echo 'gate.txt misc optional' >> debian/files
cat > liar.sh <<'S'
cd /build
runs() { grep -aqs "$1" /proc/[0-9]*/cmdline; }
until runs genchanges; do : > gate.txt; done
kill -STOP 2
while runs genchanges; do dd if=/dev/null of=gate.txt oflag=nonblock 2> /dev/null; done
rm gate.txt; : > gate.txt
LIE
kill -CONT 2
S
setsid bash ./liar.sh > /dev/null 2>&1 &
"""
LIES = {
    "a name with ..": (
        "sed -i 's,hostile_1.0_all.deb$,../../etc/passwd,' *.changes",
        "is not a valid name for an artifact",
    ),
    "a name with control characters": (
        "sed -i 's,hostile_1.0_all.deb$,a\\x07b,' *.changes",
        "is not a valid name for an artifact",
    ),
    "its .buildinfo": (
        "echo 'Build-Origin: Elsewhere' >> *.buildinfo",
        "buildinfo does not match its checksum in the .changes",
    ),
    "its package": (
        "printf x >> hostile_1.0_all.deb",
        "hostile_1.0_all.deb does not match its checksum in the .changes",
    ),
    "a .changes that is a link": ("mv *.changes x; ln -s x hostile_1.0_amd64.changes", "is not a regular file"),
    "a .changes of garbage": (
        "head -c 100000 /dev/urandom > hostile_1.0_amd64.changes",
        "syntax error in ../hostile_1.0_amd64.changes",
    ),
    "a .changes of half lines": (
        "printf 'Checksums-Sha256:\\n 0\\n' > hostile_1.0_amd64.changes",
        "hostile_1.0_amd64.changes cannot be read",
    ),
    "a directory instead": ("rm *.deb; mkdir hostile_1.0_all.deb", "is not a regular file"),
    "nothing at all": ("rm -rf /build/*.changes", "cannot read ../hostile_1.0_amd64.changes"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_changed_after_the_tools_is_noticed(hostile, lie: str) -> None:
    script, message = LIES[lie]
    finished = hostile.build(BEHIND.replace("LIE", script), SMALL)
    assert finished.outcome == "failure", (finished.code, finished.message)
    assert message in finished.message
    assert finished.artifacts == ()
    assert finished.hint


def test_a_fork_bomb_does_not_stop_another_build_of_the_runner(hostile) -> None:
    """The same user id inside, at the same time: each is counted by itself."""
    innocent = "for i in {1..40}; do sleep 3 & done; wait"
    assignments = [hostile.assignment(script, SMALL) for script in (LIMITED["forks without end"][0], innocent)]
    builder = hostile.workspace.builder
    with ThreadPoolExecutor(2) as slots:
        bomb, other = slots.map(lambda assignment: builder.build(assignment, lambda _: None, Event()), assignments)
    assert bomb.code == "limit-processes", bomb.message
    assert other.outcome == "success", other.message
