"""The no-op task for Celery: it pushes a token to a list, by which the driver counts the tasks that ran."""

import os

import redis
from celery import Celery

URL = os.environ["REDIS_URL"]
app = Celery("bench", broker=URL)
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=25)
answers = redis.Redis.from_url(URL)


@app.task
def nothing(token: str) -> None:
    answers.rpush("done", token)
