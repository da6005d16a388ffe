"""Kernel, programs, file systems, port and a trial of the sandbox, as they are. Leaves nothing behind.

In: paths and names from the settings. Out: facts of planning.doctor. Never raises for what it finds.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path
from threading import Event

from cloud_builder.adapters.process.packages import package_of
from cloud_builder.adapters.sandbox.cgroups import Cgroups
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.errors import CloudBuilderError
from cloud_builder.planning.doctor import DirectoryFacts, ProbeError
from cloud_builder.ports.sandbox import Confinement

_NEEDED = ("git", "tar", "zstd", "rsync", "xz", "gpg", "gpgconf", "dpkg-deb", "dpkg-source", "mount")
_OF_USERS = ("newuidmap", "newgidmap")
_HELPFUL = ("jing",)


def user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def missing_programs() -> tuple[tuple[str, str, bool], ...]:
    """(program, Debian package, needed by every build)"""
    needed = (*_NEEDED, *(_OF_USERS if os.getuid() else ()))
    wanted = [*((program, True) for program in needed), *((program, False) for program in _HELPFUL)]
    return tuple((program, package_of(program), must) for program, must in wanted if shutil.which(program) is None)


def kiwi() -> ProbeError | None:
    """Whether it can be found; loading it would take a second."""
    return None if importlib.util.find_spec("kiwi") else ProbeError("it is not in this Python environment")


def trial(work: Path) -> ProbeError | None:
    """Runs nothing in a root of nothing: namespaces, ids, overlay, /proc and all, on the file system of builds."""
    try:
        with tempfile.TemporaryDirectory(prefix=".cb-doctor-", dir=existing(work)) as directory:
            lower = Path(directory) / "root"
            lower.mkdir()
            confinement = Confinement(layers=(lower,))
            sandbox = NamespaceSandbox(Path(directory) / "work")
            sandbox.run(["/bin/true"], confinement, output=lambda _: None, cancel=Event())
    except CloudBuilderError as refused:
        return ProbeError(refused.message, refused.hint)
    except OSError as cause:
        return ProbeError(f"a trial at {work} was not possible: {cause.strerror}", f"make {existing(work)} writable")
    return None


def seccomp() -> bool:
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()


def delegated(groups: Cgroups | None = None) -> frozenset[str]:
    """Controllers of the cgroup v2 that is ours to divide; empty: there is none. Divides it, as a runner would: what
    root may write to is not always its own, and what is its own may have others in it."""
    base = (groups or Cgroups()).base()
    try:
        return frozenset((base / "cgroup.subtree_control").read_text(encoding="ascii").split()) if base else frozenset()
    except OSError:
        return frozenset()


def place(name: str, path: Path, setting: str, *, builds: bool = False) -> DirectoryFacts:
    there = existing(path)
    about = os.statvfs(there)
    kind, options = _mount_of(there)
    inodes = about.f_favail if about.f_files else None
    writable = os.access(there, os.W_OK | os.X_OK)
    return DirectoryFacts(
        name,
        str(there),
        kind,
        about.f_bavail * about.f_frsize,
        inodes,
        writable,
        options,
        builds=builds,
        setting=setting,
    )


def existing(path: Path) -> Path:
    """The directory, or the nearest above it that exists."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))


def port(host: str, number: int) -> ProbeError | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as taken:
            return ProbeError(str(taken.strerror or taken))
    return None


def _mount_of(path: Path) -> tuple[str, frozenset[str]]:
    """(file system, mount options) by /proc/self/mountinfo: the longest mount point, the last of several (proc(5))."""
    best: tuple[int, str, frozenset[str]] = (-1, "", frozenset())
    real = path.resolve()
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        point = Path(fields[4].encode().decode("unicode_escape"))
        if real.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), right.split()[0], frozenset(fields[5].split(",")))
    return best[1], best[2]
