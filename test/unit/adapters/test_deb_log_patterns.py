"""Rank of a line of a build log as the likely cause of a failure."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.deb.log_patterns import error_rank

NOISE = """\
dpkg-buildpackage: info: source package greet
dh_auto_configure: warning: error in theory
checking for error functions... yes
gcc -Werror=format-security -c -o greet.o greet.c
greet.c:7:9: warning: unused variable 'error' [-Wunused-variable]
test error_handling ... ok
"""
BUILDS = {
    "compiler": ("greet.c:7:5: error: expected ';' before 'return'", "make[1]: *** [Makefile:8: greet] Error 1"),
    "linker": (
        "/usr/bin/ld: /tmp/cc.o: in function `main': undefined reference to `greet_compose'",
        "collect2: error: ld returned 1 exit status",
    ),
    "test": (
        "FAIL: 8 is morning",
        "make[1]: *** [Makefile:28: check] Error 1",
        "dh_auto_test: error: make -j2 check returned exit code 2",
    ),
    "pytest": ("FAILED test_greet.py::test_morning - AssertionError: assert 'Bad' == 'Good'", "1 failed, 3 passed"),
    "debhelper": (
        "dh_install: error: missing files, aborting",
        "make: *** [debian/rules:4: binary] Error 25",
        "dpkg-buildpackage: error: debian/rules binary subprocess returned exit status 2",
    ),
    "symbols": (
        "dpkg-gensymbols: error: some symbols or patterns disappeared in the symbols file: see diff output below",
        "dh_makeshlibs: error: failing due to earlier errors",
    ),
    "command": ("/bin/sh: 1: help2man: not found", "make[1]: *** [Makefile:8: greet.1] Error 127"),
    "network": (
        "curl: (6) Could not resolve host: example.org",
        "make[1]: *** [Makefile:8: data] Error 6",
    ),
    "sanitizer": ("==34==ERROR: AddressSanitizer: heap-use-after-free on address 0x602", "make: *** [check] Aborted"),
    "leak detection": ("==55==LeakSanitizer has encountered a fatal error.", "make[1]: *** [debian/rules:9: check]"),
    "patch of a source package": (
        "dpkg-source: error: LC_ALL=C patch -t -F 0 < t/debian/patches/fix.patch subprocess returned exit status 1",
        "1 out of 1 hunk FAILED",
    ),
    "patch of a tree": (
        "dpkg-source: error: debian/patches/fix.patch does not apply, nor is the tree patched already",
        "1 out of 1 hunk FAILED -- saving rejects to file greet.c.rej",
    ),
    "no package": (
        "dpkg-genbuildinfo: error: binary build with no binary artifacts found; .buildinfo is meaningless",
        "dpkg-buildpackage: error: dpkg-genbuildinfo --build=binary subprocess returned exit status 25",
    ),
    "patch": ("1 out of 1 hunk FAILED -- saving rejects to file greet.c.rej", "dpkg-source: error: LC_ALL=C patch"),
    "make": ("make: *** [debian/rules:4: binary] Error 25", "dpkg-buildpackage: error: debian/rules binary"),
}


@pytest.mark.parametrize("lines", BUILDS.values(), ids=BUILDS)
def test_first_line_of_the_highest_rank_is_the_cause(lines: tuple[str, ...]) -> None:
    ranks = [error_rank(line) for line in lines]
    assert ranks[0] == max(ranks) > 0
    assert all(error_rank(line) < ranks[0] for line in NOISE.splitlines())


@pytest.mark.parametrize("line", NOISE.splitlines()[:-1])
def test_harmless_line_has_rank_zero(line: str) -> None:
    assert error_rank(line) == 0
