"""A daemon of the measured mesh: `daemon.py scheduler|runner|request|collector|info …` with the daemon's own flags.

All is the product's, but for the runner's builder: it builds nothing, so that what is left is the mesh."""

from __future__ import annotations

import platform
import sys
import time
from contextlib import ExitStack

from cloud_builder.adapters.memory.builder import MemoryBuilder
from cloud_builder.model.settings import Settings
from cloud_builder.ports.mesh import Flow
from cloud_builder.wiring import assemble, daemon, queue


def idle_hands(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.flow.runner.daemon import RunnerFlow

    arch = platform.machine()
    return RunnerFlow(settings.runner, MemoryBuilder(), arch, time.time(), queue.offers(settings, arch))


if __name__ == "__main__":
    name = sys.argv[1]
    flow = idle_hands if name == "runner" else getattr(assemble, name)
    sys.exit(daemon.run(name, flow, sys.argv[2:]))
