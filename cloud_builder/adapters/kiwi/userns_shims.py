"""Lets KIWI work in a user namespace: binds that replace programs and directories for KIWI alone.

mount    --bind → --rbind   a mount with other mounts below it can only be bound recursively
umount   -l                 and only be detached lazily
tar      without dev, proc and sys: nodes cannot be made, and the mounted ones are not the root's
/var/lib/dpkg, /etc/apt/keyrings, /var/tmp   private: KIWI writes there
"""

from __future__ import annotations

import shutil
from pathlib import Path

from cloud_builder.adapters.process.packages import package_of
from cloud_builder.errors import Retryable
from cloud_builder.ports.sandbox import Bind

_SHIMS = {
    "mount": 'a=(); for x in "$@"; do [ "$x" = --bind ] && x=--rbind; a+=("$x"); done; exec {real} "${{a[@]}}"',
    "umount": 'mountpoint -q "${{@: -1}}" || exit 0; exec {real} -l "${{@: -1}}"',
    "tar": 'exec {real} --exclude=./dev --exclude=./proc --exclude=./sys "$@"',
}
_COPIED = ("/var/lib/dpkg", "/etc/apt/keyrings", "/etc/apt/apt.conf.d")
_APT = """\
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""
_FRESH = ("/var/tmp",)


def install(work: Path) -> list[Bind]:
    """Writes the replacements below `work`; they take effect by the returned binds."""
    binds = [_shim(name, script, work / "shim") for name, script in _SHIMS.items()]
    for directory in map(Path, _COPIED):
        if directory.is_dir():
            copy = work / "copy" / directory.name
            shutil.copytree(directory, copy, symlinks=True, copy_function=_copy_readable)
            binds.append(Bind(copy, str(directory), writable=True))
    _configure_apt(work / "copy" / "apt.conf.d")
    for directory in map(Path, _FRESH):
        fresh = work / "fresh" / directory.name
        fresh.mkdir(parents=True)
        binds.append(Bind(fresh, str(directory), writable=True))
    return binds


def _shim(name: str, script: str, directory: Path) -> Bind:
    """The program itself is replaced, not shadowed on PATH: KIWI resets PATH."""
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        hint = f"apt-get install {package_of(name)}"
        raise Retryable(f"{name} is not installed on this machine", code="sandbox", hint=hint, delay=60.0)
    directory.mkdir(parents=True, exist_ok=True)
    real = directory / f"{name}.real"
    shutil.copyfile(found, real)
    shim = directory / name
    shim.write_text(f"#!/bin/bash\n{script.format(real=real)}\n", encoding="utf-8")
    for file in (real, shim):
        file.chmod(0o755)
    return Bind(shim, found)


def _configure_apt(directory: Path) -> None:
    if directory.is_dir():
        (directory / "zz-cloud-builder").write_text(_APT, encoding="utf-8")


def _copy_readable(source: str, target: str) -> None:
    """Copies a file; makes an empty one where it is not readable (a lock): KIWI does not read those."""
    try:
        shutil.copy2(source, target)
    except PermissionError:
        Path(target).touch()
