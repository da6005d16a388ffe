"""Checks the published repositories for builds that are held back."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts
from .finding import Finding, Level, ok


def check_repositories(facts: Facts) -> Iterator[Finding]:
    """Finds held builds. A kept package is no fault: it leaves when nothing needs it."""
    for repository in facts.repositories:
        kept = f"; {repository.kept} kept that no unit makes any longer" if repository.kept else ""
        if repository.held:
            builds = "1 build is" if repository.held == 1 else f"{repository.held} builds are"
            message = f"{repository.name}: {builds} held back, because published packages need what they replace{kept}"
            yield Finding("published", Level.WARNING, message, f"cb-ctl why {repository.name}")
        else:
            yield ok("published", f"{repository.name}: nothing is held back{kept}")
