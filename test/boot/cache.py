"""Caches the parts of the guest between runs. Each is made beside its directory and renamed, so it is complete."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

KEEP = 2
"""Entries that are kept of each part, the newest ones."""


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "cloud-builder" / "boot"
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def get_or_make(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Returns the directory `<name>-<key>`; `make` fills it when it does not exist."""
    path = cache_directory() / f"{name}-{key}"
    if not path.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache_directory()))
        try:
            make(fresh)
            fresh.chmod(0o755)
            fresh.rename(path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    os.utime(path)
    for old in sorted(cache_directory().glob(f"{name}-*"), key=lambda each: each.stat().st_mtime)[:-KEEP]:
        shutil.rmtree(old)
    return path
