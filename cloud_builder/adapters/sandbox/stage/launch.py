"""The stage's first process: makes the user namespace, starts pid 1 in the others, obeys the runner until the end.

It stays outside of the pid namespace, so when it has waited for pid 1 nothing confined is left; and outside of the
mount namespace, with the ids of the user namespace: it can measure and delete what the confined program wrote.
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
    """`control`: descriptor of the socket to the runner. Exits with 0 when everything that happened was told."""
    os.set_inheritable(control, False)
    spec, called_off = read_spec(control)
    if called_off:
        _clean_up(spec["side"])
    try:
        die_with_parent()
        if os.getppid() != spec["parent"]:
            os._exit(1)
        _offer_to_oom_killer()
        if _own_ids(spec, control):
            _run(spec, control)
    except OSError as cause:
        send(control, {"error": f"{cause.filename or 'system call'}: {cause.strerror}", "errno": cause.errno or 0})
    _clean_up(spec["side"])


def _offer_to_oom_killer() -> None:
    """When the machine runs out of memory, a build goes before the runner does."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("500")


def read_spec(control: int) -> tuple[Spec, bool]:
    """The spec, and whether the runner has called it off already: its KILL may lie right behind the line, when we
    are slow to start."""
    said = b""
    while b"\n" not in said:
        piece = os.read(control, 65536)
        if not piece:
            os._exit(1)
        said += piece
    line, _, orders = said.partition(b"\n")
    spec: Spec = json.loads(line)
    return spec, bool(orders)


def _own_ids(spec: Spec, control: int) -> bool:
    """A user namespace in which the runner has mapped the ids, and we are root. False: it does not want to go on."""
    unshare(NEWUSER)
    send(control, {"unshared": True})
    if _order(control) != MAPPED:
        return False
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    die_with_parent()
    if spec["layers"]:
        _forbid_user_namespaces()
    return True


def _forbid_user_namespaces() -> None:
    """Where /proc/sys can be written to; the filter of system calls says the same."""
    with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as most:
        most.write("0")


def _run(spec: Spec, control: int) -> None:
    unshare(NEWPID | NEWIPC | NEWUTS | (0 if spec["network"] else NEWNET))
    leash, held = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(held)
        run_init(spec, control, leash)
    for descriptor in (0, 1, 2, leash):
        os.close(descriptor)
    send(control, {"init": init})
    _obey(spec, control, init)


def _obey(spec: Spec, control: int, init: int) -> None:
    ended = os.pidfd_open(init)

    def hurry() -> bool:
        return bool(select.select([control, ended], [], [], 0)[0])

    poll = select.poll()
    for descriptor in (control, ended):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if ended in ready:
            os.waitpid(init, 0)
            return
        order = _order(control)
        if order == KILL:
            _kill(init)
            os.waitpid(init, 0)
            return
        if order == DISK:
            send(control, {"disk": disk_used([spec["upper"], f"{spec['side']}/tmp"], hurry)})
        if order == SHARED:
            send(control, {"shared": shared_used(init, hurry)})


def _order(control: int) -> bytes:
    try:
        return os.read(control, 1) or KILL
    except ConnectionResetError:
        return KILL


def _kill(init: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(init, signal.SIGKILL)


def _clean_up(side: str) -> NoReturn:
    """No fork is possible any more: the pid namespace of our children has ended. So we become the cleaner."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.execv(_RM, ("rm", "-rf", "--", side))
