"""A signal stops a program, also while its main thread is busy."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from threading import Event

import pytest

from cloud_builder.wiring.stop_signals import set_on_signal, stop_on
from support.waiting import LIMIT


@pytest.fixture(autouse=True)
def _signals_are_as_before() -> Iterator[None]:
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
    before, pipe = {number: signal.getsignal(number) for number in numbers}, signal.set_wakeup_fd(-1)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(pipe)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_each_signal_sets_the_event(number: signal.Signals) -> None:
    stop = stop_on(signal.SIGUSR1, signal.SIGUSR2)
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    assert stop.wait(LIMIT)


def test_event_is_set_by_a_thread_and_not_by_the_handler() -> None:
    """A handler would run in the main thread, between two instructions of other work."""
    stop = stop_on(signal.SIGUSR1)
    handler = signal.getsignal(signal.SIGUSR1)
    assert callable(handler)
    handler(signal.SIGUSR1, None)
    assert not stop.is_set()


def test_other_signals_do_not_set_the_event() -> None:
    reader, writer = os.pipe()
    os.write(writer, bytes([signal.SIGWINCH, signal.SIGCHLD]))
    os.close(writer)
    stop = Event()
    set_on_signal(reader, [signal.SIGUSR1], stop)
    assert not stop.is_set()
