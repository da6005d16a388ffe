"""What to tell when the machine cannot confine: what it lacks, and the exact command that mends it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cloud_builder.errors import Retryable

LEAST_KERNEL = (5, 12)
"""overlayfs in a user namespace (5.11), mount_setattr (5.12)."""
_DELAY = 60.0
_FORBIDDING = {
    "kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    "user/max_user_namespaces": ("0", "user.max_user_namespaces=15000"),
    "user/max_net_namespaces": ("0", "user.max_net_namespaces=15000"),
}
_OVERLAY_ON_OVERLAY = "put the work directory on a file system that overlayfs can write to (ext4, xfs, btrfs, tmpfs)"


def no_ids(user: str, cause: str = "", first: int = 100000) -> Retryable:
    """`cause`: what newuidmap said. `first`: the first of 65,536 ids that nobody else has."""
    ids = f"{first}-{first + 65535}"
    command = f"usermod --add-subuids {ids} --add-subgids {ids} {user}"
    told = f": {cause}" if cause else ""
    return _lack(f"user {user} has no range of subordinate ids in /etc/subuid and /etc/subgid{told}", command)


def no_uidmap_tools() -> Retryable:
    return _lack("newuidmap and newgidmap are not installed on this machine", "apt-get install uidmap")


def no_program(program: str, package: str) -> Retryable:
    return _lack(f"{program} is not installed on this machine", f"apt-get install {package}")


def refused(step: str, number: int) -> Retryable:
    """The kernel refused a step of the stage with `errno` number."""
    version = _kernel()
    if version < LEAST_KERNEL:
        have, need = (".".join(map(str, numbers)) for numbers in (version, LEAST_KERNEL))
        return _lack(f"Linux {have} is too old to confine builds without root", f"boot Linux {need} or newer")
    if step.startswith("unshare"):
        return _no_namespaces(number)
    if "overlay" in step and number in (errno.EINVAL, errno.EPERM, errno.ENODEV):
        return _lack(f"no overlay can be mounted there ({step})", _OVERLAY_ON_OVERLAY)
    if step.startswith("mount proc"):
        hint = "in a container: start it with an unmasked /proc (docker: --security-opt systempaths=unconfined)"
        return _lack(f"a fresh /proc cannot be mounted ({step})", hint)
    return _lack(f"the kernel refused to confine: {step}", "see doc/how-to/machine.md")


def killed_from_outside() -> Retryable:
    hint = "if the machine ran out of memory (dmesg), give it more or the runner fewer slots"
    return Retryable("the build was killed from outside", code="killed", hint=hint)


def _no_namespaces(number: int) -> Retryable:
    for name, (bad, mend) in _FORBIDDING.items():
        file = Path("/proc/sys") / name
        if file.exists() and file.read_text(encoding="ascii").strip() == bad:
            return _lack("user namespaces are switched off on this machine", f"sysctl -w {mend}")
    hint = "in a container: allow them (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)"
    return _lack(f"the kernel gives no namespaces: {os.strerror(number)}", hint)


def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def _lack(message: str, hint: str) -> Retryable:
    return Retryable(message, code="sandbox", hint=hint, delay=_DELAY)
