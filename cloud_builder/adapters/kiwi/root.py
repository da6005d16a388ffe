"""Prepares build roots with KIWI NG (the port RootMaker): `system prepare` in private user, mount and pid namespaces.

Input: a build_root.kiwi and one of its profiles. Output: a root directory, finished for later installations. KIWI sees
the file system of the machine read-only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cloud_builder.errors import Permanent, Retryable
from cloud_builder.ports.buildroot import HOSTNAME, RootInputs
from cloud_builder.ports.sandbox import Bind, Confinement, EndReason, Sandbox

from . import apt, description, keys, userns_shims
from .errors import error_from_output

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KIWI = "from kiwi.kiwi import main; main()"
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_MANAGERS = {"apt": apt}
_BUILDER = r"""
set -eu
root=$1
grep -q ^builder: "$root/etc/passwd" || echo 'builder:x:1000:1000:builder:/build:/bin/sh' >> "$root/etc/passwd"
grep -q ^builder: "$root/etc/group" || echo 'builder:x:1000:' >> "$root/etc/group"
mkdir -p "$root/build"; chown 1000:1000 "$root/build"
for directory in proc sys dev run tmp; do mkdir -p "$root/$directory"; done; chmod 1777 "$root/tmp"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$2" > "$root/etc/hosts"
"""
_FRESH = ("/tmp", "/var/tmp", "/run")
_OUTPUT_BYTES = 64 * 1024
"""Bytes at the end of the output from which an error is made."""


class KiwiRootMaker:
    """Prepares roots in `sandbox`. Thread-safe: each preparation has its own package cache and scratch directory."""

    recipe = "kiwi-3"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def inputs(self, description_file: Path, profile: str) -> RootInputs:
        content = description_file.read_bytes()
        parsed = description.parse(content, profile, name=description_file.name)
        beside = [keys.read_beside(description_file.parent, name) for name in keys.names_beside(parsed)]
        return RootInputs(b"".join([content, *beside]), parsed.unverified)

    def prepare(
        self, description_file: Path, profile: str, root: Path, *, log: Callable[[bytes], None], cancel: Event
    ) -> None:
        parsed = description.read(description_file, profile)
        manager = _MANAGERS.get(parsed.package_manager)
        if manager is None:
            name = parsed.package_manager or "(none)"
            hint = f"Use one of: {', '.join(_MANAGERS)}."
            raise Permanent(f"package manager {name} is not supported", code="root", hint=hint)
        work = Path(tempfile.mkdtemp(prefix=f".{root.name}.kiwi-", dir=root.parent))
        try:
            stage = _Preparation(self._sandbox, description_file.name, root.parent, work, log, cancel)
            (work / "keys").mkdir()
            trusted = keys.collect(parsed, description_file.parent, work / "keys")
            content = keys.localized(description_file.read_bytes(), profile, trusted, work / "keys")
            stage.kiwi(content, profile, root, manager.options(parsed))
            stage.shell(*manager.finish(parsed, trusted, str(root)))
            stage.shell(["/bin/sh", "-c", _BUILDER, "builder", str(root), HOSTNAME], {})
        finally:
            self._sandbox.remove(work)


@dataclass(frozen=True)
class _Preparation:
    """The steps of one preparation, which run programs of the machine.

    file       the name of the description in messages
    directory  the only directory that the steps may write to
    work       scratch files of this preparation
    """

    sandbox: Sandbox
    file: str
    directory: Path
    work: Path
    log: Callable[[bytes], None]
    cancel: Event

    def kiwi(self, content: bytes, profile: str, root: Path, apt_options: Mapping[str, str]) -> None:
        folder = self.work / "description"
        for new in (folder, self.work / "cache", self.work / "home"):
            new.mkdir()
        (folder / "config.xml").write_bytes(content)
        options = ["--shared-cache-dir", str(self.work / "cache"), "--profile", profile]
        task = ["system", "prepare", "--description", str(folder), "--root", str(root)]
        command = [sys.executable, "-c", _KIWI, *options, *task]
        self._run(command, {"HOME": str(self.work / "home")}, userns_shims.install(self.work, apt_options))

    def shell(self, command: list[str], environment: dict[str, str]) -> None:
        self._run(command, environment, [])

    def _run(self, command: list[str], environment: dict[str, str], binds: list[Bind]) -> None:
        printed = bytearray()

        def output(piece: bytes) -> None:
            printed.extend(piece)
            del printed[:-_OUTPUT_BYTES]
            self.log(piece)

        confinement = Confinement(
            # These come last: what hides /var/tmp must not hide what lies below it.
            binds=(*binds, *_python(), Bind(self.directory, str(self.directory), writable=True)),
            network=True,
            directory=str(self.work),
            environment={"PATH": _PATH, "LC_ALL": "C.UTF-8", **_proxies(), **environment},
        )
        ended = self.sandbox.run(command, confinement, output=output, cancel=self.cancel)
        if ended.ended_by is EndReason.CANCEL:
            raise Retryable("the preparation of the build root was canceled", code="canceled")
        if ended.status != 0:
            raise error_from_output(self.file, bytes(printed).decode(errors="replace"))


def _python() -> list[Bind]:
    """Returns binds for this Python environment where it is below a directory that the sandbox replaces."""
    prefixes = dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix)))
    return [Bind(prefix, str(prefix)) for prefix in prefixes if any(prefix.is_relative_to(fresh) for fresh in _FRESH)]


def _proxies() -> dict[str, str]:
    """Returns the proxy variables of this machine, through which it reaches repositories."""
    names = [spelled for name in _PROXIES for spelled in (name, name.upper())]
    return {name: os.environ[name] for name in names if name in os.environ}
