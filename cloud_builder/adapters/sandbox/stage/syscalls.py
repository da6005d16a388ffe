"""System calls that Python lacks, each as a function that raises OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_SIGKILL = 9
_CAP_VERSION_3 = 0x20080522
_LAST_CAP = 40
_MOUNT_SETATTR = 442
"""The same number on every architecture that has it."""
_NUMBERS = {"x86_64": (155, 126), "aarch64": (41, 91), "riscv64": (41, 91), "ppc64le": (203, 184), "s390x": (217, 185)}
_PIVOT_ROOT, _CAPSET = _NUMBERS.get(os.uname().machine, (41, 91))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int, step: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), step)


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(result, f"mount {kind or 'bind'} at {target}")


def make_read_only(target: str) -> None:
    """Makes the mount at `target` and all mounts below it read-only. Needs Linux 5.12."""
    _set_attribute(target, _ATTR_RDONLY)


def ignore_setuid(target: str) -> None:
    """Makes setuid programs and file capabilities ineffective on the mount at `target` and all mounts below it."""
    _set_attribute(target, _ATTR_NOSUID)


def _set_attribute(target: str, attribute: int) -> None:
    attributes = struct.pack("QQQQ", attribute, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(target.encode()),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, f"mount_setattr {target}")


def enter_root(new_root: str) -> None:
    """Makes `new_root` (a mount point) the root; the old one stays reachable until `leave_old_root`."""
    os.chdir(new_root)
    _check(_libc.syscall(ctypes.c_long(_PIVOT_ROOT), b".", b"."), "pivot_root")


def leave_old_root(old_root: int) -> None:
    """Unmounts the old root. `old_root`: a descriptor of its directory."""
    os.fchdir(old_root)
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent() -> None:
    """Lets the kernel kill this process when the thread that started it ends.

    The kernel clears this setting at each change of credentials."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(_SIGKILL), 0, 0, 0), "PR_SET_PDEATHSIG")


def hide_from_tracers() -> None:
    _check(_libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0), "PR_SET_DUMPABLE")


def no_new_privileges() -> None:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def bound_capabilities(keep: frozenset[int]) -> None:
    """Limits the capabilities of programs that are executed from now on. This process keeps its own."""
    for capability in range(_LAST_CAP + 1):
        if capability not in keep:
            result = _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
            if result < 0 and ctypes.get_errno() != errno.EINVAL:
                _check(result, f"drop capability {capability}")


def hold_capabilities(keep: frozenset[int]) -> None:
    """Reduces the capabilities of this process to these."""
    mask = sum(1 << capability for capability in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAP_VERSION_3, 0))
    sets = ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0))
    _check(_libc.syscall(ctypes.c_long(_CAPSET), header, sets), "capset")


def set_hostname(name: str) -> None:
    _check(_libc.sethostname(name.encode(), ctypes.c_size_t(len(name.encode()))), "sethostname")
