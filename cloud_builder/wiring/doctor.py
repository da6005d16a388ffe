"""Which probes look at what, by the settings: facts for planning.doctor. The quick ones are run by `cb-ctl up`, too."""

from __future__ import annotations

import os
import sys
import time

from cloud_builder.adapters.machine import host
from cloud_builder.errors import Rejected
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.settings import BrokerSettings, Settings
from cloud_builder.planning.doctor import BrokerFacts, DirectoryFacts, Facts, ProbeError

from .broker import probe_share_groups


def quick(settings: Settings, *, builds: bool = True) -> Facts:
    """What a mesh on this machine cannot do without: nothing but this machine is asked. `builds`: also what only a
    runner needs."""
    return Facts(
        user=host.user(),
        now=time.time(),
        kernel=os.uname().release,
        python=tuple(sys.version_info[:3]),
        missing=host.missing_programs(),
        kiwi=host.kiwi(),
        trial=host.try_sandbox(settings.runner_work) if builds else None,
        tried=builds,
        places=_places(settings, builds=builds),
    )


def whole(settings: Settings, broker: BrokerSettings | None, *, is_up: bool) -> Facts:
    """Everything. `broker` None: there is none to ask. `is_up`: a mesh of this home runs. Its port, or that of a
    collector which systemd runs, is its own."""
    from dataclasses import replace

    from cloud_builder.adapters.machine.key import key
    from cloud_builder.adapters.sqlite.lock import is_held

    said = settings.collector
    is_served = is_up or is_held(settings.home / "collector" / "state.sqlite")
    port = None if is_served else (f"{said.host}:{said.port}", host.port(said.host, said.port))
    return replace(
        quick(settings),
        seccomp=host.seccomp(),
        cgroup_controllers=host.delegated(),
        key=key(settings.home / "collector" / "gnupg", said.key_name),
        port=port,
        broker=_broker(broker, settings.dispatch),
    )


def _broker(settings: BrokerSettings | None, dispatch: Dispatch) -> BrokerFacts | None:
    from dataclasses import replace

    from cloud_builder.adapters.kafka.inspection import inspect

    if settings is None:
        return None
    found = inspect(settings)
    return found if found.refusal else replace(found, unshared=_unshared(settings, dispatch))


def _unshared(settings: BrokerSettings, dispatch: Dispatch) -> ProbeError | None:
    """Rights are a runner's, which we may not have."""
    try:
        probe_share_groups(dispatch, settings)
    except Rejected as error:
        return ProbeError(error.message, error.hint) if error.code == "no-share-groups" else None
    return None


def _places(settings: Settings, *, builds: bool) -> tuple[DirectoryFacts, ...]:
    """What lies beside the home is said once."""
    home = host.probe_directory("home", settings.home, "home")
    others = (
        host.probe_directory("store", settings.store_path, "store"),
        host.probe_directory("cache", settings.cache, "cache"),
    )
    work = (host.probe_directory("work", settings.runner_work, "runner.work", builds=True),) if builds else ()
    return (home, *(place for place in others if place.path != home.path), *work)
