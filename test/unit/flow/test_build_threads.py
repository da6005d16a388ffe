"""The threads of a runner: all that is given begins at once, in as few threads as that needs."""

from __future__ import annotations

import threading
from functools import partial
from queue import SimpleQueue

from cloud_builder.flow.runner.build_threads import BuildThreads
from support.waiting import LIMIT

LONG = 10.0


def together(hands, count, all_are_here):
    """So many pieces that end when each of them has begun."""
    for number in range(count):
        hands.submit(partial(all_are_here.wait, LIMIT), number + 1)
    all_are_here.wait(LIMIT)


def rested(hands, count):
    assert hands.wait_idle(LONG)
    assert hands.threads == count


def test_each_piece_begins_while_all_others_go_on():
    hands = BuildThreads()
    for _ in range(20):
        together(hands, 8, threading.Barrier(9))
    rested(hands, 8)


def test_a_piece_begins_though_the_one_before_it_was_just_taken_and_never_ends():
    hands, go, begun = BuildThreads(), threading.Event(), SimpleQueue()
    together(hands, 2, threading.Barrier(3))
    rested(hands, 2)

    def long(number):
        begun.put(number)
        go.wait(LIMIT)

    for number in (1, 2):
        hands.submit(partial(long, number), number)
    assert {begun.get(timeout=LIMIT), begun.get(timeout=LIMIT)} == {1, 2}
    go.set()


def test_much_short_work_is_all_done_once_and_in_no_more_threads_than_were_needed():
    hands, done = BuildThreads(), SimpleQueue()
    for number in range(20_000):
        hands.submit(partial(done.put, number), 4)
    assert sorted(done.get(timeout=LIMIT) for _ in range(20_000)) == list(range(20_000))
    assert done.empty()
    rested(hands, 4)


def test_who_rested_last_works_next():
    hands, at_work = BuildThreads(), SimpleQueue()
    together(hands, 5, threading.Barrier(6))
    rested(hands, 5)
    for _ in range(10):
        hands.submit(lambda: at_work.put(threading.current_thread().name), 1)
        rested(hands, 5)
    assert len({at_work.get(timeout=LIMIT) for _ in range(10)}) == 1
