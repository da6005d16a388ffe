"""Pid 1 of the confined world, and the step from there into the confined program.

Pid 1 reaps what is orphaned. When the program ends it tells how and ends too, and the kernel ends all that is left.
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

_OF_ROOT = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31})
"""What installing packages takes: chown, dac_override, dac_read_search, fowner, fsetid, kill, setgid, setuid, setpcap,
net_bind_service, sys_chroot, audit_write, setfcap. Not among them: everything that mounts or reconfigures."""
_FILES = 65536
_SPARE = 16
"""So many processes more than the limit can be started: the watch has to see that it is passed."""
_CANNOT_RUN, _NOT_FOUND = 126, 127
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def send(control: int, said: StageMessage) -> None:
    os.write(control, json.dumps(said).encode() + b"\n")


def run_init(spec: Spec, control: int, parent_pipe: int) -> NoReturn:
    """Never returns. `leash`: readable when the launcher is gone."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # pid 1 gets no signal that it has no handler for
        _die_with(parent_pipe)
        unshare(NEWNS)
        set_hostname(spec["hostname"])
        if not spec["network"]:
            _raise_loopback()
        build_root(spec)
        refuse_system_calls(build=bool(spec["layers"]))
        if spec["layers"]:
            bound_capabilities(_OF_ROOT)
            hold_capabilities(_OF_ROOT)
        hide_from_tracers()
        program = os.fork()
        if program == 0:
            _become(spec, control)
        _reap(program, control)
    except OSError as cause:
        send(control, {"error": _told(cause), "errno": cause.errno or 0})
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


def _become(spec: Spec, control: int) -> NoReturn:
    """Gives up what the program must not have, last the user id, and turns into it."""
    try:
        _take_terminal(spec["terminal"])
        _limit(spec)
        if spec["uid"]:
            _hand_over_outputs(spec)
            _give_up_root(spec["uid"])
        die_with_parent()
        os.umask(0o022)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)
    except OSError as cause:
        send(control, {"error": _told(cause), "errno": cause.errno or 0})
        os._exit(_CANNOT_RUN)
    try:
        os.chdir(spec["directory"])
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])
    except OSError as cause:
        thing = cause.filename if cause.filename == spec["directory"] else spec["command"][0]
        sys.stderr.write(f"{thing}: {cause.strerror}\n")
        sys.stderr.flush()
        os._exit(_NOT_FOUND if cause.errno == errno.ENOENT else _CANNOT_RUN)


def _hand_over_outputs(spec: Spec) -> None:
    """Whose pipe it is may open it by name: `echo > /dev/stderr`."""
    if not spec["terminal"]:
        os.fchown(1, spec["uid"], spec["uid"])


def _give_up_root(uid: int) -> None:
    bound_capabilities(frozenset())
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    no_new_privileges()


def _limit(spec: Spec) -> None:
    """The watch ends what is too big by name; these stop what is too fast for it."""
    bounds = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, _FILES)]
    if spec["processes"]:
        bounds.append((resource.RLIMIT_NPROC, spec["processes"] + max(_SPARE, spec["processes"] // 8)))
    if spec["memory"]:
        bounds.append((resource.RLIMIT_DATA, 2 * spec["memory"]))
    for what, bound in bounds:
        _, hard = resource.getrlimit(what)
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (least, least))
    if spec["cpus"]:
        os.sched_setaffinity(0, spec["cpus"])


def _take_terminal(terminal: bool) -> None:
    """Job control needs a process group that the pid namespace knows; without a terminal, a session of its own."""
    if not terminal:
        os.setsid()
        return
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, os.getpid())


def _die_with(parent_pipe: int) -> None:
    die_with_parent()
    if select.select([parent_pipe], [], [], 0)[0]:
        os._exit(1)


def _raise_loopback() -> None:
    link = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(link.fileno(), _SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(link.fileno(), _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    link.close()


def _told(cause: OSError) -> str:
    return f"{cause.filename or 'system call'}: {cause.strerror}"
