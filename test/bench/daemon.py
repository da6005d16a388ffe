"""A daemon of the measured mesh: `python -m bench.daemon scheduler|runner|request|collector|info FLAGS`.

All of it is the product's but the runner's builder, which builds nothing, so that only the mesh is measured."""

from __future__ import annotations

import platform
import sys
import time
from contextlib import ExitStack

from cloud_builder.adapters.memory.builder import MemoryBuilder
from cloud_builder.model.settings import Settings
from cloud_builder.ports.mesh import Flow
from cloud_builder.wiring import assemble, broker, daemon


def idle_runner(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.flow.runner.cache_inventory import CacheInventory
    from cloud_builder.flow.runner.flow import RunnerFlow

    arch = platform.machine()
    queue = broker.offers(settings, arch)
    return RunnerFlow(
        settings.runner, MemoryBuilder(), arch, time.time(), inventory=CacheInventory(10, 10), queue=queue
    )


if __name__ == "__main__":
    name = sys.argv[1]
    flow = idle_runner if name == "runner" else getattr(assemble, name)
    sys.exit(daemon.run(name, flow, sys.argv[2:]))
