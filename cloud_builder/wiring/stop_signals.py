"""Turns signals into an event that stops a program.

A Python signal handler cannot do that reliably. It runs only between two instructions of the main thread: a signal
that arrives just before the main thread begins to wait is handled after the wait. And a handler that sets an event
while the main thread holds that event's lock waits for itself. So a thread reads the numbers of signals from a pipe,
which the interpreter writes as soon as a signal arrives, and sets the event.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from threading import Event, Thread
from types import FrameType

_READ_SIZE = 64
"""Signals that are read at once."""


def stop_on(*numbers: signal.Signals) -> Event:
    """Returns an event that each of these signals sets. Call it once in a program, in the main thread."""
    stop = Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _no_op)
    Thread(target=set_on_signal, args=(reader, numbers, stop), name="signals", daemon=True).start()
    return stop


def _no_op(number: int, frame: FrameType | None) -> None:
    """Replaces the default action; only signals with a handler are written to the pipe."""


def set_on_signal(reader: int, numbers: Collection[int], stop: Event) -> None:
    """Reads signal numbers from the pipe `reader` until its end; sets `stop` at the first that is in `numbers`."""
    while arrived := os.read(reader, _READ_SIZE):
        if any(number in numbers for number in arrived):
            stop.set()
