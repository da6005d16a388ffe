"""Probes the kernel, programs, file systems, a port, and the sandbox. Leaves nothing behind.

Input: paths and names from the settings. Output: facts of planning.doctor. Must not raise for a fault that it finds.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import tempfile
from pathlib import Path
from threading import Event

from cloud_builder.adapters.kiwi.keys import DEBIAN
from cloud_builder.adapters.process.packages import package_of
from cloud_builder.adapters.sandbox.cgroups import Cgroups
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.errors import CloudBuilderError
from cloud_builder.planning.doctor import DirectoryFacts, ProbeError
from cloud_builder.ports.sandbox import Confinement

_NEEDED = ("git", "tar", "zstd", "rsync", "xz", "gpg", "gpgconf", "dpkg-deb", "dpkg-source", "mount")
_OF_USERS = ("newuidmap", "newgidmap")
_HELPFUL = ("jing",)


def missing_programs() -> tuple[tuple[str, str, bool], ...]:
    """Returns (program, Debian package, whether every build needs it) of each missing program, and missing keys."""
    needed = (*_NEEDED, *(_OF_USERS if os.getuid() else ()))
    programs = [*((program, True) for program in needed), *((program, False) for program in _HELPFUL)]
    missing = ((program, package_of(program), must) for program, must in programs if shutil.which(program) is None)
    keys = () if Path(DEBIAN).exists() else ((DEBIAN, "debian-archive-keyring", False),)
    return (*missing, *keys)


def kiwi() -> ProbeError | None:
    """Checks that KIWI is installed without importing it, which would take a second."""
    return None if importlib.util.find_spec("kiwi") else ProbeError("KIWI is not installed in this Python environment")


def try_sandbox(work: Path) -> ProbeError | None:
    """Runs /bin/true in an empty root, on the file system of builds: namespaces, ids, overlay, /proc."""
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
        return ProbeError(
            f"the sandbox could not be tried at {work}: {cause.strerror}", f"Make {existing(work)} writable."
        )
    return None


def seccomp() -> bool:
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()


def delegated(groups: Cgroups | None = None) -> frozenset[str]:
    """Returns the controllers of the cgroup v2 that is delegated to this process; empty: none is.

    Creates subgroups as a runner would: a writable cgroup is not always delegated, and a delegated one may contain
    other processes.
    """
    base = (groups or Cgroups()).base()
    try:
        return frozenset((base / "cgroup.subtree_control").read_text(encoding="ascii").split()) if base else frozenset()
    except OSError:
        return frozenset()


def probe_directory(name: str, path: Path, setting: str, *, builds: bool = False) -> DirectoryFacts:
    directory = existing(path)
    about = os.statvfs(directory)
    kind, options = _mount_of(directory)
    inodes = about.f_favail if about.f_files else None
    writable = os.access(directory, os.W_OK | os.X_OK)
    return DirectoryFacts(
        name,
        str(directory),
        kind,
        about.f_bavail * about.f_frsize,
        inodes,
        writable,
        options,
        builds=builds,
        setting=setting,
    )


def existing(path: Path) -> Path:
    """Returns the directory, or the nearest directory above it that exists."""
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
    """Returns (file system, mount options) from /proc/self/mountinfo: the longest mount point, the last of equal ones
    (proc(5))."""
    best: tuple[int, str, frozenset[str]] = (-1, "", frozenset())
    real = path.resolve()
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        point = Path(fields[4].encode().decode("unicode_escape"))
        if real.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), right.split()[0], frozenset(fields[5].split(",")))
    return best[1], best[2]
