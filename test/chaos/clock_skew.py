"""Runs a daemon with a wall clock that is ahead by the seconds in FILE: `python -P clock_skew.py FILE DAEMON …`.

FILE is read at each call of time.time(), so that the offset can change while the daemon runs.

Only time.time() of the daemon itself is moved: the monotonic clock stays, as it does when an administrator or NTP sets
the time, and so do the programs and libraries beside it. (libfaketime would move those, too; with Python 3.11 its
version in Debian 12 makes every sleep an error.)
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

_true = time.time
_file = Path(sys.argv.pop(1))


def _skewed_time() -> float:
    try:
        return _true() + float(_file.read_text() or 0)
    except FileNotFoundError:
        return _true()


if __name__ == "__main__":
    time.time = _skewed_time
    runpy.run_module("cloud_builder.wiring", run_name="__main__", alter_sys=True)
