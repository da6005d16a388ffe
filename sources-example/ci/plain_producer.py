#!/usr/bin/env python3
"""Requests a build from Cloud Builder and waits for its end. Needs only confluent-kafka.

    CB_BROKER=HOST:PORT[,…] plain_producer.py SOURCE [UNIT…]        no UNIT: all units of the source
    CB_REF=BRANCH|TAG|COMMIT    default: the branch that the source follows
    CB_TIMEOUT=SECONDS          default: 3600
    CB_KAFKA_OPTIONS=JSON       further librdkafka settings, e.g. {"security.protocol": "SASL_SSL", …}

Exit codes: 0 success, 1 a build failed, 2 wrong usage, 3 rejected, 4 infrastructure or time-out.
"""

import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

EXIT = {"success": 0, "failure": 1, "canceled": 1, "rejected": 3, "error": 4}

if not sys.argv[1:] or "CB_BROKER" not in os.environ:
    print(__doc__, file=sys.stderr)
    sys.exit(2)
source, *units = sys.argv[1:]
broker = {"bootstrap.servers": os.environ["CB_BROKER"], **json.loads(os.environ.get("CB_KAFKA_OPTIONS", "{}"))}
request = {"source": source, "ref": os.environ.get("CB_REF", ""), "request_id": f"ci-{uuid.uuid4().hex[:12]}"}
request |= {"units": units} if units else {"all": True}

# Read cb.result from its end, before the request is sent: so the result cannot be missed. It needs no consumer group.
results = Consumer({**broker, "group.id": request["request_id"], "enable.auto.commit": False})
parts = [TopicPartition("cb.result", n) for n in results.list_topics("cb.result", 30).topics["cb.result"].partitions]
for part in parts:
    part.offset = results.get_watermark_offsets(part, 30)[1]
results.assign(parts)

# Send the request: plain JSON, without key and headers.
producer = Producer(broker)
producer.produce("cb.request", json.dumps(request))
if producer.flush(30):
    print(f"the broker {os.environ['CB_BROKER']} did not take the request within 30 s", file=sys.stderr)
    sys.exit(4)
print(f"request {request['request_id']}", flush=True)

deadline = time.monotonic() + float(os.environ.get("CB_TIMEOUT", "3600"))
while time.monotonic() < deadline:
    message = results.poll(1.0)
    result = json.loads(message.value()) if message and not message.error() else {}
    if result.get("request_id") == request["request_id"]:
        break
else:
    print("no result in time", file=sys.stderr)
    sys.exit(4)

for job in result["jobs"]:
    print(f"{job['outcome']:10} {job['unit']} {job['target']} {job['message'].partition(chr(10))[0]}".rstrip())
if result.get("left_out"):
    print(f"and {result['left_out']} more jobs: cb-ctl status {request['request_id']}")
for repository in result["repositories"]:
    print(f"published  {repository['repository']}: {repository['url']}")
print("\n".join(filter(None, [result["outcome"], result["message"], result["hint"]])))
sys.exit(EXIT.get(result["outcome"], 4))
