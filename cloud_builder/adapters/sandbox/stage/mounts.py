"""The file system that a confined program sees: its root, from layers or from the machine, with /dev, /proc and /tmp.

Input: the spec, in a new mount namespace. Output: a new root from which the old one cannot be reached.
"""

from __future__ import annotations

import os
import stat

from .spec import BindSpec, Spec
from .syscalls import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    enter_root,
    ignore_setuid,
    leave_old_root,
    make_read_only,
    mount,
)

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_KERNEL_SETTINGS = ("/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/sysrq-trigger")
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts")
_TTY = 5
"""The group `tty` of Debian, which owns the slaves of pseudo-terminals (base-passwd)."""
_SMALL_BYTES = 64 * 1024 * 1024
_FEW_FILES, _MANY_FILES = 4096, 65536
"""Files in a memory file system. Each takes a kilobyte of the kernel's memory, which its size does not count."""


def build_root(spec: Spec) -> None:
    """Mounts the new root and makes it the root and working directory of this process."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    new_root = f"{spec['side']}/root"
    sources = [(_open(bind["source"]), bind) for bind in _binds(spec)]
    devices = [(name, _open(f"/dev/{name}")) for name in _DEVICES]
    scratch = _open(f"{spec['side']}/tmp")
    old_root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    if spec["layers"]:
        _overlay(spec, new_root)
    else:
        mount("/", new_root, flags=MS_BIND | MS_REC)
        make_read_only(new_root)
    _directory(f"{new_root}/proc")
    mount("proc", f"{new_root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    enter_root(new_root)
    os.chdir("/")
    _dev(devices, spec["memory"])
    _temporary(scratch)
    for descriptor, bind in sources:
        _bind(descriptor, bind)
    if spec["layers"]:
        _protect_kernel()
    leave_old_root(old_root)
    if spec["uid"]:
        ignore_setuid("/")


def _overlay(spec: Spec, new_root: str) -> None:
    """Mounts the layers as an overlay.

    Layers are named by descriptor: no path needs escaping, and any number of them fits into the option string.
    userxattr: the attributes of overlayfs must be writable inside a user namespace. volatile: the changes are useless
    after a crash of the machine, so writing does not wait for the disk."""
    lower = ":".join(f"/proc/self/fd/{_open(layer)}" for layer in reversed(spec["layers"]))
    upper, work = _open(spec["upper"]), _open(f"{spec['side']}/work")
    data = f"lowerdir={lower},upperdir=/proc/self/fd/{upper},workdir=/proc/self/fd/{work},userxattr,volatile"
    mount("overlay", new_root, "overlay", MS_NODEV, data)


def _binds(spec: Spec) -> list[BindSpec]:
    """Returns the binds of the spec; with the network also the files for resolving names."""
    binds = list(spec["binds"])
    if spec["network"]:
        files = [path for path in _NETWORK_FILES if os.path.exists(path)]
        binds += [{"source": os.path.realpath(path), "target": path, "writable": False} for path in files]
    return binds


def _dev(devices: list[tuple[str, int]], memory: int) -> None:
    _directory("/dev")
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, f"mode=755,size={_SMALL_BYTES},nr_inodes={_FEW_FILES}")
    for name, descriptor in devices:
        _file(f"/dev/{name}")
        mount(f"/proc/self/fd/{descriptor}", f"/dev/{name}", flags=MS_BIND)
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    os.mkdir("/dev/pts")
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, f"newinstance,gid={_TTY},ptmxmode=0666,mode=620")
    os.mkdir("/dev/shm")
    size = f",size={memory}" if memory else ""
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,nr_inodes={_MANY_FILES}{size}")


def _temporary(scratch: int) -> None:
    """Mounts /tmp on disk, beside the changes (deleted with the run), and a small /run in memory."""
    _directory("/tmp")
    mount(f"/proc/self/fd/{scratch}", "/tmp", flags=MS_BIND | MS_REC)
    _directory("/run")
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=755,size={_SMALL_BYTES},nr_inodes={_FEW_FILES}")
    os.mkdir("/run/lock")
    os.chmod("/run/lock", 0o1777)


def _bind(descriptor: int, bind: BindSpec) -> None:
    target = bind["target"]
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        _directory(target)
    else:
        target = os.path.realpath(target)
        _file(target)
    mount(f"/proc/self/fd/{descriptor}", target, flags=MS_BIND | MS_REC)
    if not bind["writable"]:
        make_read_only(target)


def _protect_kernel() -> None:
    """Makes the settings of the kernel read-only: root inside may have a uid that is allowed to write them."""
    for path in _KERNEL_SETTINGS:
        if os.path.exists(path):
            mount(path, path, flags=MS_BIND | MS_REC)
            make_read_only(path)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _directory(path: str) -> None:
    os.makedirs(path, exist_ok=True)


def _file(path: str) -> None:
    if not os.path.exists(path):
        _directory(os.path.dirname(path))
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
