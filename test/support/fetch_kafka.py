"""Fetches Apache Kafka if the tests need it and it is not in the cache. `make test` runs this first.

The fetch takes up to minutes, and pytest would hide what it prints.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

from support.kafka_server import FETCH_LOG, VERSION, KafkaMissing, docker_answers, fetched_jars, jars_directory


def main() -> None:
    if os.environ.get("CB_TEST_KAFKA") or docker_answers() or not shutil.which("mvn") or jars_directory().is_dir():
        return
    print(f"Fetching Apache Kafka {VERSION} with Maven, once, into {jars_directory()} (log: {FETCH_LOG})", flush=True)
    started = time.monotonic()
    try:
        fetched_jars()
    except KafkaMissing as error:
        sys.exit(f"error: {error}")
    print(f"  fetched in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
