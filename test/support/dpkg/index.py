"""The Sources index of Debian bookworm main, from the mirror, kept in the user's cache."""

from __future__ import annotations

import lzma
import os
from pathlib import Path
from urllib.request import urlopen

URL = "http://deb.debian.org/debian/dists/bookworm/main/source/Sources.xz"


def sources_index() -> str:
    """Returns the text of the index; fetches it when it is not in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloud-builder" / "bookworm-Sources.xz"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}")
        with urlopen(URL, timeout=120) as answer:
            part.write_bytes(answer.read())
        part.replace(cache)
    return lzma.decompress(cache.read_bytes()).decode()
