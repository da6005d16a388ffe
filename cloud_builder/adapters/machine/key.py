"""Probes the signing key: who may read it, and when it expires. Changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

from cloud_builder.adapters import process
from cloud_builder.errors import CloudBuilderError
from cloud_builder.planning.doctor import KeyFacts

_TIMEOUT = 20.0
_OTHERS = 0o077


def key(home: Path, name: str) -> KeyFacts | None:
    """Returns the facts of the key; None: no key exists yet. The collector makes it at its first start."""
    try:
        secrets = sorted((home / "private-keys-v1.d").glob("*.key"))
        if not secrets:
            return None
        foreign = home.stat().st_uid != os.getuid()
        if foreign and os.getuid():
            return KeyFacts(str(home), foreign=True)
        opened = tuple(str(path) for path in (home, *secrets) if path.stat().st_mode & _OTHERS)
    except PermissionError:
        return KeyFacts(str(home), foreign=True)
    except OSError:
        return None
    try:
        return KeyFacts(str(home), opened, foreign, _expires(home, name))
    except CloudBuilderError as cause:
        return KeyFacts(str(home), opened, foreign, error=str(cause))


def _expires(home: Path, name: str) -> float:
    """Returns field 7 of the line of the public key (GnuPG, doc/DETAILS): seconds since the epoch, 0 for never."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "GNUPGHOME": str(home), "LC_ALL": "C.UTF-8"}
    options = ["--batch", "--no-tty", "--quiet", "--no-auto-check-trustdb", "--no-autostart", "--with-colons"]
    command = ["gpg", *options, "--list-keys", f"={name}"]
    listed = process.run(command, env=environment, timeout=_TIMEOUT).text
    line = next(line for line in listed.splitlines() if line.startswith("pub:"))
    return float(line.split(":")[6] or 0)
