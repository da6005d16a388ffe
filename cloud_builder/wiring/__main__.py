"""Runs a daemon whose program is not on the PATH: `python -m cloud_builder.wiring scheduler …`."""

from __future__ import annotations

import sys

from . import daemon

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in ("request", "scheduler", "runner", "collector", "info"):
        sys.exit("usage: python -m cloud_builder.wiring request|scheduler|runner|collector|info …")
    getattr(daemon, name)()
