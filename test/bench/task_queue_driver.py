"""Sends no-op tasks to dramatiq or Celery and waits for each: NAME REDIS_URL JOBS SAMPLES RUNS; JSON on stdout.

Runs in the environment of the queues, knows nothing of Cloud Builder."""

import json
import os
import sys
import time

name, url, jobs, samples, runs = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
os.environ["REDIS_URL"] = url
import redis  # noqa: E402

if name == "dramatiq":
    from dramatiq_tasks import nothing

    send = nothing.send
else:
    from celery_tasks import nothing

    send = nothing.delay
answers = redis.Redis.from_url(url)


def wait_for(count: int) -> None:
    while count:
        if answers.blpop(["done"], timeout=60) is None:
            sys.exit("no answer within 60 s")
        count -= 1
        count -= len(answers.lpop("done", 1000) or ()) if count else 0


def rate() -> float:
    started = time.monotonic()
    for number in range(jobs):
        send(str(number))
    wait_for(jobs)
    return jobs / (time.monotonic() - started)


def latency() -> float:
    started = time.monotonic()
    send("one")
    wait_for(1)
    return time.monotonic() - started


for _ in range(20):
    latency()
found = {"latencies": [latency() for _ in range(samples)], "rates": [rate() for _ in range(runs)]}
sys.stdout.write(json.dumps(found))
