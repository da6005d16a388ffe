"""A build root, prepared on this machine by a real mesh: as another runner with the same object store would do.

Its key holds the state of Debian's mirror. When that has moved since, the guest's runner prepares its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from boot import cache
from boot.base import ROOT, as_root, nice

CTL = Path(sys.executable).with_name("cb-ctl")
UNIT = "packages/libgreet"


def prepared_image(source: Path) -> Path:
    """An object store with the root that the units of the source are built in."""
    description = ROOT / "sources-example" / "projects" / UNIT / ".cb" / "build_root.kiwi"
    key = cache.digest([description.read_text(), time.strftime("%F")])
    return cache.get_or_make("root", key, lambda into: _prepare(source, into))


def _prepare(source: Path, into: Path) -> None:
    directory = into / "mesh"
    environment = {**os.environ, "CB_HOME": str(directory / "home"), "CB_CACHE": str(directory / "cache")}
    mesh = ("up", "--detach", "--runners", "1", "--broker", "embedded", "--port", "0", "--source", f"source={source}")
    try:
        nice(CTL, *mesh, env=environment, stdout=subprocess.DEVNULL)
        nice(CTL, "request", UNIT, "--watch", env=environment, stdout=subprocess.DEVNULL)
    finally:
        nice(CTL, "down", env=environment, stdout=subprocess.DEVNULL)
    for entry in (directory / "cache" / "store").iterdir():
        shutil.move(entry, into)
    nice(*as_root(), "rm", "-rf", directory)
