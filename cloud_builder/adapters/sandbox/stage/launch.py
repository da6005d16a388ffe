"""The first process of the stage: makes the user namespace, starts pid 1 in the other namespaces, follows the runner.

It stays outside of the pid namespace: when it has waited for pid 1, no confined process is left. It also stays outside
of the mount namespace and has the ids of the user namespace: it can measure and delete the files of the confined
program.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from typing import NoReturn

from .inside import run_init, send
from .measure import disk_used, shared_used
from .spec import DISK, KILL, MAPPED, SHARED, Spec
from .syscalls import NEWIPC, NEWNET, NEWPID, NEWUSER, NEWUTS, die_with_parent, unshare

_RM = "/bin/rm"


def main(control: int) -> NoReturn:
    """Runs the stage. `control`: descriptor of the socket to the runner. Ends by removing the side directory."""
    os.set_inheritable(control, False)
    spec, is_canceled = read_spec(control)
    if is_canceled:
        _clean_up(spec["side"])
    try:
        die_with_parent()
        if os.getppid() != spec["parent"]:
            os._exit(1)
        _prefer_for_oom_killer()
        if _own_ids(spec, control):
            _run(spec, control)
    except OSError as cause:
        send(control, {"error": f"{cause.filename or 'system call'}: {cause.strerror}", "errno": cause.errno or 0})
    _clean_up(spec["side"])


def _prefer_for_oom_killer() -> None:
    """Makes the kernel kill a build before the runner when the machine runs out of memory."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("500")


def read_spec(control: int) -> tuple[Spec, bool]:
    """Returns the spec, and True if the runner has canceled the run already.

    When the stage starts slowly, the runner's KILL may follow the line of the spec at once."""
    received = b""
    while b"\n" not in received:
        piece = os.read(control, 65536)
        if not piece:
            os._exit(1)
        received += piece
    line, _, commands = received.partition(b"\n")
    spec: Spec = json.loads(line)
    return spec, bool(commands)


def _own_ids(spec: Spec, control: int) -> bool:
    """Enters a user namespace, waits until the runner has mapped the ids, and becomes root in it.

    False: the runner canceled the run instead."""
    unshare(NEWUSER)
    send(control, {"unshared": True})
    if _receive(control) != MAPPED:
        return False
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    die_with_parent()
    if spec["layers"]:
        _forbid_user_namespaces()
    return True


def _forbid_user_namespaces() -> None:
    """Forbids user namespaces where /proc/sys is writable. The filter of system calls forbids them, too."""
    with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as maximum:
        maximum.write("0")


def _run(spec: Spec, control: int) -> None:
    unshare(NEWPID | NEWIPC | NEWUTS | (0 if spec["network"] else NEWNET))
    parent_pipe, own_end = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(own_end)
        run_init(spec, control, parent_pipe)
    for descriptor in (0, 1, 2, parent_pipe):
        os.close(descriptor)
    send(control, {"init": init})
    _follow_commands(spec, control, init)


def _follow_commands(spec: Spec, control: int, init: int) -> None:
    """Carries out the runner's commands until pid 1 has ended."""
    init_end = os.pidfd_open(init)

    def is_interrupted() -> bool:
        return bool(select.select([control, init_end], [], [], 0)[0])

    poll = select.poll()
    for descriptor in (control, init_end):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if init_end in ready:
            os.waitpid(init, 0)
            return
        command = _receive(control)
        if command == KILL:
            _kill(init)
            os.waitpid(init, 0)
            return
        if command == DISK:
            send(control, {"disk": disk_used([spec["upper"], f"{spec['side']}/tmp"], is_interrupted)})
        if command == SHARED:
            send(control, {"shared": shared_used(init, is_interrupted)})


def _receive(control: int) -> bytes:
    """Returns the next command of the runner. The end of the stream means KILL."""
    try:
        return os.read(control, 1) or KILL
    except ConnectionResetError:
        return KILL


def _kill(init: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(init, signal.SIGKILL)


def _clean_up(side: str) -> NoReturn:
    """Executes rm in this process: fork fails because the pid namespace for children has ended."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.execv(_RM, ("rm", "-rf", "--", side))
