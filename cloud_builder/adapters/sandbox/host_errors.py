"""Errors of a machine that cannot confine builds: what is missing, and the exact command or change that fixes it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cloud_builder.errors import Retryable

MIN_KERNEL = (5, 12)
"""overlayfs in a user namespace (5.11), mount_setattr (5.12)."""
_DELAY = 60.0
"""Seconds until the build is tried again: somebody has to fix the machine."""
_SYSCTLS = {
    "kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    "user/max_user_namespaces": ("0", "user.max_user_namespaces=15000"),
    "user/max_net_namespaces": ("0", "user.max_net_namespaces=15000"),
}
_OVERLAY_HINT = "put the work directory on a file system that overlayfs can write to (ext4, xfs, btrfs, tmpfs)"


def no_ids(user: str, cause: str = "", first: int = 100000) -> Retryable:
    """The user has no subordinate ids. `cause`: output of newuidmap. `first`: the first of 65,536 unused ids."""
    ids = f"{first}-{first + 65535}"
    command = f"usermod --add-subuids {ids} --add-subgids {ids} {user}"
    reason = f": {cause}" if cause else ""
    return _error(f"user {user} has no range of subordinate ids in /etc/subuid and /etc/subgid{reason}", command)


def no_uidmap_tools() -> Retryable:
    return _error("newuidmap and newgidmap are not installed on this machine", "apt-get install uidmap")


def no_program(program: str, package: str) -> Retryable:
    return _error(f"{program} is not installed on this machine", f"apt-get install {package}")


def refused(step: str, number: int) -> Retryable:
    """The kernel refused a step of the stage with the errno `number`."""
    version = _kernel()
    if version < MIN_KERNEL:
        present, needed = (".".join(map(str, numbers)) for numbers in (version, MIN_KERNEL))
        return _error(f"Linux {present} is too old to confine builds without root", f"boot Linux {needed} or newer")
    if step.startswith("unshare"):
        return _no_namespaces(number)
    if "overlay" in step and number in (errno.EINVAL, errno.EPERM, errno.ENODEV):
        return _error(f"no overlay can be mounted in the work directory ({step})", _OVERLAY_HINT)
    if step.startswith("mount proc"):
        hint = "in a container: start it with an unmasked /proc (docker: --security-opt systempaths=unconfined)"
        return _error(f"a fresh /proc cannot be mounted ({step})", hint)
    return _error(f"the kernel refused to confine builds: {step}", "see doc/how-to/machine.md")


def killed_from_outside() -> Retryable:
    hint = "if the machine ran out of memory (dmesg), give it more or the runner fewer slots"
    return Retryable("the build was killed, and not by the runner", code="killed", hint=hint)


def _no_namespaces(number: int) -> Retryable:
    for name, (forbidding, setting) in _SYSCTLS.items():
        file = Path("/proc/sys") / name
        if file.exists() and file.read_text(encoding="ascii").strip() == forbidding:
            return _error("user namespaces are switched off on this machine", f"sysctl -w {setting}")
    hint = "in a container: allow them (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)"
    return _error(f"the kernel refused to make namespaces: {os.strerror(number)}", hint)


def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def _error(message: str, hint: str) -> Retryable:
    return Retryable(message, code="sandbox", hint=hint, delay=_DELAY)
