"""Lets KIWI work in a user namespace: binds that replace programs and directories for KIWI alone.

mount    --bind → --rbind   a mount with other mounts below it can only be bound recursively
umount   -l                 and only be detached lazily
tar      without dev, proc and sys: nodes cannot be made, and the mounted ones are not the root's
chroot   gives apt-get in the root the options of apt outside, and lets dpkg not wait for the disk
/var/lib/dpkg, /etc/apt, /var/tmp   private: KIWI writes there
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cloud_builder.adapters.process.packages import package_of
from cloud_builder.errors import Retryable
from cloud_builder.ports.sandbox import Bind

_SHIMS = {
    "mount": 'a=(); for x in "$@"; do [ "$x" = --bind ] && x=--rbind; a+=("$x"); done; exec {real} "${{a[@]}}"',
    "umount": 'mountpoint -q "${{@: -1}}" || exit 0; exec {real} -l "${{@: -1}}"',
    "chroot": 'root=$1; shift; if [ "$1" = apt-get ]; then shift; set -- apt-get {options} "$@"; fi; '
    'exec {real} "$root" "$@"',
    "tar": 'exec {real} --exclude=./dev --exclude=./proc --exclude=./sys "$@"',
}
_COPIED = ("/var/lib/dpkg", "/etc/apt")
_APT = """\
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""
_INSIDE = ("-o Acquire::Retries=3", "-o Acquire::Languages=none", "-o DPkg::Options::=--force-unsafe-io")
_FRESH = ("/var/tmp",)


def install(work: Path, apt_options: Mapping[str, str], machine: Path = Path("/")) -> list[Bind]:
    """Writes the replacements below `work`; they take effect by the returned binds.

    apt_options   options of apt.conf(5), by name
    machine       the root of the replaced directories"""
    binds = [_shim(name, script, work / "shim", apt_options) for name, script in _SHIMS.items()]
    for directory in map(Path, _COPIED):
        original = machine / directory.relative_to("/")
        if original.is_dir():
            copy = work / "copy" / directory.name
            shutil.copytree(original, copy, symlinks=True, ignore=_in_progress, copy_function=_copy_readable)
            binds.append(Bind(copy, str(directory), writable=True))
    _configure_apt(work / "copy" / "apt", apt_options)
    for directory in map(Path, _FRESH):
        fresh = work / "fresh" / directory.name
        fresh.mkdir(parents=True)
        binds.append(Bind(fresh, str(directory), writable=True))
    return binds


def _shim(name: str, script: str, directory: Path, apt_options: Mapping[str, str]) -> Bind:
    """The program itself is replaced, not shadowed on PATH: KIWI resets PATH."""
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        hint = f"apt-get install {package_of(name)}"
        raise Retryable(f"{name} is not installed on this machine", code="sandbox", hint=hint, delay=60.0)
    directory.mkdir(parents=True, exist_ok=True)
    real = directory / f"{name}.real"
    shutil.copyfile(found, real)
    shim = directory / name
    options = " ".join([*(f"-o {name}={value}" for name, value in apt_options.items()), *_INSIDE])
    shim.write_text(f"#!/bin/bash\n{script.format(real=real, options=options)}\n", encoding="utf-8")
    for file in (real, shim):
        file.chmod(0o755)
    return Bind(shim, found)


def _configure_apt(directory: Path, options: Mapping[str, str]) -> None:
    for name in ("apt.conf.d", "keyrings"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    lines = "".join(f'{name} "{value}";\n' for name, value in options.items())
    (directory / "apt.conf.d" / "zz-cloud-builder").write_text(_APT + lines, encoding="utf-8")


def _in_progress(directory: str, names: list[str]) -> list[str]:
    """Returns the files of an installation that dpkg has begun: with them, apt reports "dpkg was interrupted"."""
    return names if directory.endswith("/dpkg/updates") else [name for name in names if name.endswith("-new")]


def _copy_readable(source: str, target: str) -> None:
    """Copies a file; makes an empty one where it is not readable (a lock): KIWI does not read those.

    Leaves out what has vanished meanwhile: dpkg may be at work on this machine."""
    try:
        shutil.copy2(source, target)
    except PermissionError:
        Path(target).touch()
    except FileNotFoundError:
        return
