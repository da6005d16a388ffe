"""The filter of system calls that confined programs may not use: a small classic BPF program, assembled here.

No build needs the refused calls. They are parts of the kernel that a hostile build could attack, or ways out of its
namespaces. A refused call fails with EPERM, as for any user without rights. clone3 and calls of another architecture
(x32, i386, arm) fail with ENOSYS, because the filter cannot read their arguments: C libraries then use the older call.
seccomp(2), linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""machine → AUDIT_ARCH_* and its column in the tables."""
_X32 = 0x40000000

_KERNEL = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
"""Refused to all programs, also to the tools that prepare roots."""
_BUILD = {
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "umount2": (166, 39),
}
"""Refused to programs in a root of layers as well: mounts, namespaces, memory of other processes."""
_CLONE, _UNSHARE, _CLONE3 = (56, 220), (272, 97), (435, 435)
_SOCKET, _IOCTL = (41, 198), (16, 29)

_NEW_NAMESPACE = 0x7E020000
"""CLONE_NEW* without CLONE_NEWTIME, which clone does not support."""
_NEW_TIME = 0x80
_FAMILIES = (1, 2, 10, 16)
"""unix, inet, inet6, netlink. Other families are parts of the kernel to attack; AF_VSOCK ignores network namespaces."""
_TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI, TIOCLINUX: they can type into the terminal of the user of `cb-ctl shell`."""

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand: struct sock_filter."""


def refuse_system_calls(*, build: bool) -> bool:
    """Applies the filter to this process and its future children. Needs no_new_privs or CAP_SYS_ADMIN.

    `build`: refuses both tables, else only the first. Returns False when this architecture has no table, or the kernel
    no seccomp; namespaces alone then confine the program."""
    if os.uname().machine not in _ARCHITECTURES:
        return False
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program(os.uname().machine, build=build))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.c_void_p(ctypes.addressof(header)), 0, 0)
    if done < 0 and ctypes.get_errno() != errno.EINVAL:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "PR_SET_SECCOMP")
    return bool(done == 0)


def program(machine: str, *, build: bool) -> list[Instruction]:
    """Returns the filter for `machine` (x86_64 or aarch64)."""
    architecture, column = _ARCHITECTURES[machine]
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        *_unless(_JUMP_EQUAL, architecture, errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += _if(_JUMP_GREATER_EQUAL, _X32, errno.ENOSYS)
    for call in (_KERNEL | _BUILD if build else _KERNEL).values():
        code += _if(_JUMP_EQUAL, call[column], errno.EPERM)
    if build:
        code += _if(_JUMP_EQUAL, _CLONE3[column], errno.ENOSYS)
        code += _check_argument(_CLONE[column], 0, _if(_JUMP_SET, _NEW_NAMESPACE, errno.EPERM))
        code += _check_argument(_UNSHARE[column], 0, _if(_JUMP_SET, _NEW_NAMESPACE | _NEW_TIME, errno.EPERM))
        code += _check_argument(_SOCKET[column], 0, _refuse_others(_FAMILIES, errno.EAFNOSUPPORT))
        code += _check_argument(_IOCTL[column], 1, _refuse(_TERMINAL_INPUT, errno.EPERM))
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _if(test: int, operand: int, refusal: int) -> list[Instruction]:
    return [(test, 0, 1, operand), (_RETURN, 0, 0, _ERRNO | refusal)]


def _unless(test: int, operand: int, refusal: int) -> list[Instruction]:
    return [(test, 1, 0, operand), (_RETURN, 0, 0, _ERRNO | refusal)]


def _refuse(values: tuple[int, ...], refusal: int) -> list[Instruction]:
    return [instruction for value in values for instruction in _if(_JUMP_EQUAL, value, refusal)]


def _refuse_others(allowed: tuple[int, ...], refusal: int) -> list[Instruction]:
    jumps = [(_JUMP_EQUAL, len(allowed) - number, 0, value) for number, value in enumerate(allowed)]
    return [*jumps, (_RETURN, 0, 0, _ERRNO | refusal), (_RETURN, 0, 0, _ALLOW)]


def _check_argument(call: int, argument: int, then: list[Instruction]) -> list[Instruction]:
    """Runs `then` on the lower half of an argument of a call (little-endian machines); allows the call after it."""
    body = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), *then, (_RETURN, 0, 0, _ALLOW)]
    return [(_JUMP_EQUAL, 0, len(body), call), *body]
