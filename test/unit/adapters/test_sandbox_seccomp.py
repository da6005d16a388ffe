"""The filter of system calls, run for both architectures by an interpreter of its BPF program."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from cloud_builder.adapters.sandbox.stage import seccomp

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
USER, TIME, FILES, THREAD = 0x10000000, 0x80, 0x400, 0x3D0F00


def errno_of(machine: str, call: int, *arguments: int, build: bool = True, arch: int | None = None) -> int:
    """Returns 0 for an allowed call, else the errno that it fails with."""
    values = [*arguments, 0, 0, 0, 0, 0, 0]
    data = {0: call, 4: ARCH[machine] if arch is None else arch}
    data |= {16 + 8 * number: value & 0xFFFFFFFF for number, value in enumerate(values[:6])}
    code, at, loaded = seccomp.program(machine, build=build), 0, 0
    while True:
        operation, true, false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                loaded = data[operand]
            case 0x06:
                return 0 if operand == ALLOW else operand & ~ERRNO
            case _:
                holds = {0x15: loaded == operand, 0x35: loaded >= operand, 0x45: bool(loaded & operand)}[operation]
                at += true if holds else false


def number(machine: str, name: str) -> int:
    table = {**seccomp._KERNEL, **seccomp._BUILD}
    more = {"clone": seccomp._CLONE, "unshare": seccomp._UNSHARE, "clone3": seccomp._CLONE3}
    more |= {"socket": seccomp._SOCKET, "ioctl": seccomp._IOCTL}
    return (table | more)[name][0 if machine == "x86_64" else 1]


@pytest.mark.parametrize("machine", ARCH)
@pytest.mark.parametrize(
    ("name", "arguments", "refusal"),
    [
        ("keyctl", (), errno.EPERM),
        ("ptrace", (), errno.EPERM),
        ("mount", (), errno.EPERM),
        ("io_uring_setup", (), errno.EPERM),
        ("clone3", (), errno.ENOSYS),
        ("clone", (17,), 0),
        ("clone", (THREAD,), 0),
        ("clone", (USER | 17,), errno.EPERM),
        ("unshare", (FILES,), 0),
        ("unshare", (USER | FILES,), errno.EPERM),
        ("unshare", (TIME,), errno.EPERM),
        ("socket", (1,), 0),
        ("socket", (2,), 0),
        ("socket", (16,), 0),
        ("socket", (40,), errno.EAFNOSUPPORT),
        ("socket", (38,), errno.EAFNOSUPPORT),
        ("ioctl", (0, 0x5401), 0),
        ("ioctl", (0, 0x5412), errno.EPERM),
        ("ioctl", (0, 0x541C), errno.EPERM),
    ],
)
def test_system_call_is_allowed_or_refused_with_its_errno(
    machine: str, name: str, arguments: tuple[int, ...], refusal: int
) -> None:
    assert errno_of(machine, number(machine, name), *arguments) == refusal


@pytest.mark.parametrize("machine", ARCH)
def test_ordinary_calls_are_allowed_and_foreign_architectures_are_not(machine: str) -> None:
    listed = {call[list(ARCH).index(machine)] for call in (seccomp._KERNEL | seccomp._BUILD).values()}
    ordinary = set(range(450)) - listed - {number(machine, "clone3"), number(machine, "socket")}
    assert {errno_of(machine, call) for call in ordinary} == {0}
    assert errno_of(machine, 1, arch=0x40000003) == errno.ENOSYS
    assert errno_of("x86_64", 0x40000001) == errno.ENOSYS


@pytest.mark.parametrize("machine", ARCH)
def test_tools_that_prepare_roots_may_mount_but_not_use_keyctl(machine: str) -> None:
    assert errno_of(machine, number(machine, "mount"), build=False) == 0
    assert errno_of(machine, number(machine, "keyctl"), build=False) == errno.EPERM


def test_numbers_of_system_calls_are_those_of_the_kernel_headers() -> None:
    """Compares with the headers of the machine, if they are installed."""
    names = [*seccomp._KERNEL, *seccomp._BUILD, "clone", "clone3", "unshare", "socket", "ioctl"]
    headers = {
        "x86_64": f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h",
        "aarch64": "/usr/include/asm-generic/unistd.h",
    }
    for machine, header in headers.items():
        text = Path(header).read_text() if Path(header).exists() else ""
        for name in names if text else ():
            found = re.search(rf"#define __NR(?:3264)?_{name} (\d+)", text)
            assert found is None or int(found[1]) == number(machine, name), (machine, name)
