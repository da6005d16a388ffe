"""Tests of the thread pool of a runner: tasks start at once, in as few threads as that needs."""

from __future__ import annotations

import threading
from functools import partial
from queue import SimpleQueue

from cloud_builder.flow.runner.build_threads import BuildThreads
from support.waiting import LIMIT

LONG = 10.0


def run_together(threads, count, all_started):
    """Submits `count` tasks that end when all of them have started."""
    for number in range(count):
        threads.submit(partial(all_started.wait, LIMIT), number + 1)
    all_started.wait(LIMIT)


def assert_idle(threads, count):
    assert threads.wait_idle(LONG)
    assert threads.threads == count


def test_tasks_run_at_the_same_time():
    threads = BuildThreads()
    for _ in range(20):
        run_together(threads, 8, threading.Barrier(9))
    assert_idle(threads, 8)


def test_task_starts_although_the_one_before_it_never_ends():
    threads, go, started = BuildThreads(), threading.Event(), SimpleQueue()
    run_together(threads, 2, threading.Barrier(3))
    assert_idle(threads, 2)

    def long(number):
        started.put(number)
        go.wait(LIMIT)

    for number in (1, 2):
        threads.submit(partial(long, number), number)
    assert {started.get(timeout=LIMIT), started.get(timeout=LIMIT)} == {1, 2}
    go.set()


def test_short_tasks_run_once_each_in_no_more_threads_than_needed():
    threads, done = BuildThreads(), SimpleQueue()
    for number in range(20_000):
        threads.submit(partial(done.put, number), 4)
    assert sorted(done.get(timeout=LIMIT) for _ in range(20_000)) == list(range(20_000))
    assert done.empty()
    assert_idle(threads, 4)


def test_thread_that_became_idle_last_runs_the_next_task():
    threads, at_work = BuildThreads(), SimpleQueue()
    run_together(threads, 5, threading.Barrier(6))
    assert_idle(threads, 5)
    for _ in range(10):
        threads.submit(lambda: at_work.put(threading.current_thread().name), 1)
        assert_idle(threads, 5)
    assert len({at_work.get(timeout=LIMIT) for _ in range(10)}) == 1
