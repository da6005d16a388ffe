"""The no-op task for dramatiq: it pushes a token to a list, by which the driver counts the tasks that ran."""

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

URL = os.environ["REDIS_URL"]
dramatiq.set_broker(RedisBroker(url=URL))
answers = redis.Redis.from_url(URL)


@dramatiq.actor
def nothing(token: str) -> None:
    answers.rpush("done", token)
