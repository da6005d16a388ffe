"""The environment of a build, as doc/reference/build-environment.md lists it; one build checks all lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "doc" / "reference" / "build-environment.md"
SANITIZED = """\
printf 'int main(void) { return 0; }' > s.c
for sanitizer in address thread undefined; do
    gcc -fsanitize=$sanitizer s.c -o s && ASAN_OPTIONS=detect_leaks=0 ./s || exit 1
done"""
SERVER = """\
perl -MIO::Socket::INET -e '
    $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $!;
    $client = IO::Socket::INET->new(PeerAddr => "localhost", PeerPort => $server->sockport) or die $!;
    print $client "x\\n"; $peer = $server->accept; exit(<$peer> eq "x\\n" ? 0 : 1)'"""
SEMAPHORE = """\
printf '#include <fcntl.h>\\n#include <semaphore.h>\\nint main(void) { return !sem_open("/s", O_CREAT, 0600, 1); }' \\
    > p.c
gcc p.c -o p && ./p && [ "$(stat -c %a /dev/shm) $(stat -f -c %T /dev/shm)" = '1777 tmpfs' ]"""
TERMINAL = """\
printf '#include <stdlib.h>\\n#include <fcntl.h>\\n#include <sys/stat.h>\\nint main(void) { struct stat s;
    int f = posix_openpt(O_RDWR); return grantpt(f) || unlockpt(f) || stat(ptsname(f), &s) || s.st_gid != 5; }' > t.c
gcc -w -D_GNU_SOURCE t.c -o t && ./t"""
WHOLE = """\
[ -s /usr/share/doc/nano/changelog.Debian.gz ] && [ -s /usr/share/info/nano.info.gz ] || exit 1
[ -s /usr/share/locale/de/LC_MESSAGES/nano.mo ] && [ -s /usr/share/man/man1/nano.1.gz ] || exit 1
[ "$(readlink -f /usr/share/man/man1/editor.1.gz)" = /usr/share/man/man1/nano.1.gz ] || exit 1
[ -s /usr/share/man/man1/gcc-ar-12.1.gz ] && [ -s /usr/share/doc/dpkg-dev/changelog.gz ]"""
KNOWN = (
    "PATH HOME LC_ALL SHELL PWD SHLVL OLDPWD _ SOURCE_DATE_EPOCH DEB_.* DH_.* MAKE.* MFLAGS .*FLAGS"
    " .*FLAGS_FOR_BUILD FAKEROOTKEY LD_PRELOAD LD_LIBRARY_PATH XDG_RUNTIME_DIR REAL_.*"
)
CHECKS = {
    "`HOME`": '[ "$REAL_HOME" = /nonexistent ] && [ ! -e /nonexistent ]',
    "`PATH`": '[ "$PATH" = /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ]',
    "`SHELL`": '[ "$REAL_SHELL" = /bin/sh ]',
    "locale": '[ "$LC_ALL:${LANG-none}" = C.UTF-8:none ] && [ "$(locale charmap)" = UTF-8 ]',
    "time zone": '[ "${TZ-none} $(date +%Z) $(date -d @0 +%H)" = "none UTC 00" ]',
    "other variables": f"! env -0 | cut -z -d= -f1 | tr '\\0' '\\n' | grep -vxE '{KNOWN.replace(' ', '|')}'",
    "user": '[ "$(id -u):$(id -g):$(id -un):$(id -Gn)" = 1000:1000:builder:builder ] && getent passwd builder',
    "umask": '[ "$(umask)" = 0022 ]',
    "file modes of the source": (
        "[ \"$(stat -c '%a %U' greet.c debian/rules debian | tr '\\n' ,)\" = '644 builder,755 builder,755 builder,' ]"
    ),
    "directory": '[ "$PWD" = /build/libgreet-1.0.0 ]',
    "hostname": '[ "$(hostname) $(getent hosts builder)" = "builder 127.0.1.1       builder" ]',
    "`localhost`": '[ "$(getent ahosts localhost | cut -d" " -f1 | sort -u)" = 127.0.0.1 ]',
    "loopback": f"grep -q '^0*1 ' /proc/net/if_inet6 && {SERVER}",
    "network": (
        "[ ! -s /etc/resolv.conf ] && ! grep -v -e Inter -e face -e lo: /proc/net/dev &&"
        " ! (exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null"
    ),
    "`/proc`": (
        '[ "$(ls -d /proc/[0-9]* | wc -l)" -lt 30 ] && [ -r /proc/1/comm ] && [ ! -w /proc/sys/kernel/hostname ]'
    ),
    "`/dev`": (
        "for name in full null random tty urandom zero fd stdin stdout stderr ptmx; do"
        " [ -e /dev/$name ] || exit 1; done"
    ),
    "`/dev/shm`": SEMAPHORE,
    "`/dev/pts`": TERMINAL,
    "`/tmp`": '[ "$(stat -c %a /tmp)" = 1777 ] && [ -z "$(ls -A /tmp | grep -v ^cc)" ]',
    "`/var/tmp`": '[ "$(stat -c %a /var/tmp)" = 1777 ]',
    "`/run`": '[ "$(stat -f -c %T /run) $(stat -c %a /run/lock)" = "tmpfs 1777" ]',
    "open files": '[ "$(ulimit -Sn)" = 1024 ] && ulimit -Sn 4096',
    "standard input": '[ "$(readlink /proc/self/fd/0)" = /dev/null ]',
    "core dumps": '[ "$(ulimit -c)" = 0 ]',
    "setuid": (
        "cp /usr/bin/id i && chmod 6755 i && [ \"$(./i -u)\" = 1000 ] && grep -q 'NoNewPrivs:.*1' /proc/self/status"
    ),
    "`/sys`": "[ ! -e /sys/kernel ]",
    "build dependencies": WHOLE,
    "sanitizers": SANITIZED,
    "ptrace": ("gcc -fsanitize=address s.c -o s && ./s 2>&1 | grep -q 'LeakSanitizer has encountered a fatal error'"),
}


@pytest.fixture(scope="module")
def wrong(workspace) -> frozenset[str]:
    """Returns the lines that do not hold in a build of the example library, which ends with a failure."""
    unit = workspace.unit("libgreet")
    before = {name: (unit / name).read_text() for name in ("debian/control", "debian/rules")}
    control = before["debian/control"].replace("(= 13)", "(= 13), nano")
    (unit / "debian" / "control").write_text(control)
    checks = "".join(f"(\n{check}\n) > /dev/null || echo 'WRONG: {thing}'\n" for thing, check in CHECKS.items())
    (unit / "checks.sh").write_text(checks)
    saved = "REAL_HOME=$$HOME REAL_SHELL=$$SHELL"
    (unit / "debian" / "rules").write_text(
        f"#!/usr/bin/make -f\nunexport MAKEFLAGS\n%:\n\t[ $@ != clean ] || exit 0; {saved} bash checks.sh; exit 1\n"
    )
    try:
        finished = workspace.build("libgreet")
    finally:
        (unit / "checks.sh").unlink()
        for name, text in before.items():
            (unit / name).write_text(text)
    assert (finished.code, finished.step) == ("build-failed", "build"), finished.message + workspace.log_text()
    return frozenset(re.findall(r"^WRONG: (.*)$", workspace.log_text(), re.MULTILINE))


@pytest.mark.parametrize("thing", CHECKS)
def test_line_of_the_page_holds_in_a_build(wrong, thing) -> None:
    assert thing not in wrong


def test_every_line_of_the_page_is_checked() -> None:
    first_table, _, _ = PAGE.read_text().partition("\n## ")
    rows = re.findall(r"^\| (.*?) \|", first_table, re.MULTILINE)
    assert rows[1:] == list(CHECKS)
