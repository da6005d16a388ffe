"""Reports the sizes of this machine's caches."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.text import size

from .facts import Facts
from .finding import Finding, ok


def check_caches(facts: Facts) -> Iterator[Finding]:
    """Yields one finding with all sizes, and what `cb-ctl clean` would free; none when nothing is cached."""
    filled = [cache for cache in facts.caches if cache.size]
    if filled:
        sizes = ", ".join(f"{cache.kind} {size(cache.size)}" for cache in filled)
        total, unused = sum(cache.size for cache in filled), sum(cache.unused for cache in filled)
        yield ok("caches", f"{size(total)}: {sizes}; `cb-ctl clean all` frees {size(unused)}")
