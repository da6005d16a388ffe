"""Pid 1 of the pid namespace, and the child of it that becomes the confined program.

Pid 1 reaps orphaned processes. When the program ends, pid 1 sends its status and ends, too; the kernel then kills all
other processes of the namespace.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import signal
import struct
import sys
from typing import NoReturn

from .mounts import build_root
from .seccomp import refuse_system_calls
from .spec import Spec, StageMessage
from .syscalls import (
    NEWNS,
    bound_capabilities,
    die_with_parent,
    hide_from_tracers,
    hold_capabilities,
    no_new_privileges,
    set_hostname,
    unshare,
)

_CAPABILITIES = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31})
"""Capabilities of root inside, which installing packages needs: chown, dac_override, dac_read_search, fowner, fsetid,
kill, setgid, setuid, setpcap, net_bind_service, sys_chroot, audit_write, setfcap. None of them allows to mount file
systems or to configure the machine."""
_OPEN_FILES, _MAX_OPEN_FILES = 1024, 65536
"""The soft and the hard limit of open files: the first is Debian's, and a program may raise it to the second."""
_SPARE_PROCESSES = 16
"""Processes that can be started beyond the limit, so that the limit monitor sees that it is exceeded."""
_CANNOT_RUN, _NOT_FOUND = 126, 127
"""Exit statuses, as a shell has them."""
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def send(control: int, message: StageMessage) -> None:
    """Sends a message to the runner."""
    os.write(control, json.dumps(message).encode() + b"\n")


def run_init(spec: Spec, control: int, parent_pipe: int) -> NoReturn:
    """Runs as pid 1. Never returns. `parent_pipe`: readable when the launcher has ended."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # The kernel sends pid 1 no signal that it has no handler for.
        _end_with_launcher(parent_pipe)
        unshare(NEWNS)
        set_hostname(spec["hostname"])
        if not spec["network"]:
            _raise_loopback()
        build_root(spec)
        refuse_system_calls(build=bool(spec["layers"]))
        if spec["layers"]:
            bound_capabilities(_CAPABILITIES)
            hold_capabilities(_CAPABILITIES)
        hide_from_tracers()
        program = os.fork()
        if program == 0:
            _become_program(spec, control)
        _reap(program, control)
    except OSError as cause:
        send(control, {"error": _description(cause), "errno": cause.errno or 0})
    os._exit(0)


def _reap(program: int, control: int) -> None:
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
            left = sum(name.isdigit() for name in os.listdir("/proc")) - 1
            send(control, {"status": os.waitstatus_to_exitcode(status), "rss": rss, "left": left})
            return


def _become_program(spec: Spec, control: int) -> NoReturn:
    """Drops the rights that the program must not have, the user id last, and executes the program."""
    try:
        _take_terminal(spec["terminal"])
        _set_limits(spec)
        if spec["uid"]:
            _give_outputs_to_user(spec)
            _drop_root(spec["uid"])
        die_with_parent()
        os.umask(0o022)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)
    except OSError as cause:
        send(control, {"error": _description(cause), "errno": cause.errno or 0})
        os._exit(_CANNOT_RUN)
    try:
        os.chdir(spec["directory"])
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])
    except OSError as cause:
        path = cause.filename if cause.filename == spec["directory"] else spec["command"][0]
        sys.stderr.write(f"{path}: {cause.strerror}\n")
        sys.stderr.flush()
        os._exit(_NOT_FOUND if cause.errno == errno.ENOENT else _CANNOT_RUN)


def _give_outputs_to_user(spec: Spec) -> None:
    """Makes the build user the owner of the output pipe, so that it may open it by name: `echo > /dev/stderr`."""
    if not spec["terminal"]:
        os.fchown(1, spec["uid"], spec["uid"])


def _drop_root(uid: int) -> None:
    bound_capabilities(frozenset())
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    no_new_privileges()


def _set_limits(spec: Spec) -> None:
    """Sets limits of the kernel that stop a program which grows faster than the limit monitor takes samples.

    None is on addresses (RLIMIT_AS, RLIMIT_DATA): AddressSanitizer and ThreadSanitizer reserve terabytes of addresses
    that they never use. Memory in use is limited by the control group or the limit monitor."""
    limits = [(resource.RLIMIT_CORE, 0, 0), (resource.RLIMIT_NOFILE, _OPEN_FILES, _MAX_OPEN_FILES)]
    if spec["processes"]:
        processes = spec["processes"] + max(_SPARE_PROCESSES, spec["processes"] // 8)
        limits.append((resource.RLIMIT_NPROC, processes, processes))
    for kind, soft, hard in limits:
        _, present = resource.getrlimit(kind)
        allowed = hard if present == resource.RLIM_INFINITY else min(hard, present)
        resource.setrlimit(kind, (min(soft, allowed), allowed))
    if spec["cpus"]:
        os.sched_setaffinity(0, spec["cpus"])


def _take_terminal(terminal: bool) -> None:
    """Makes the program the foreground process group, in the pid namespace, for job control.

    Without a terminal the program gets a session of its own."""
    if not terminal:
        os.setsid()
        return
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, os.getpid())


def _end_with_launcher(parent_pipe: int) -> None:
    die_with_parent()
    if select.select([parent_pipe], [], [], 0)[0]:
        os._exit(1)


def _raise_loopback() -> None:
    link = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(link.fileno(), _SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(link.fileno(), _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    link.close()


def _description(cause: OSError) -> str:
    return f"{cause.filename or 'system call'}: {cause.strerror}"
