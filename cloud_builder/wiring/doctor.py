"""Runs the probes that the settings ask for, and returns facts for planning.doctor.

`cb-ctl up` runs the quick probes, too.
"""

from __future__ import annotations

import os
import sys
import time

from cloud_builder.adapters.machine import host
from cloud_builder.adapters.sandbox import idmap
from cloud_builder.errors import Rejected
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.settings import BrokerSettings, Settings
from cloud_builder.planning.doctor import BrokerFacts, CacheFacts, DirectoryFacts, Facts, ProbeError

from . import caches
from .broker import probe_share_groups


def quick_facts(settings: Settings, *, builds: bool = True) -> Facts:
    """Returns the facts that every mesh needs, about this machine only. `builds`: also those for a runner."""
    return Facts(
        user=idmap.login_name(),
        now=time.time(),
        kernel=os.uname().release,
        python=tuple(sys.version_info[:3]),
        missing=host.missing_programs(),
        kiwi=host.kiwi(),
        sandbox_error=host.try_sandbox(settings.runner_work) if builds else None,
        is_sandbox_tried=builds,
        directories=_directories(settings, builds=builds),
    )


def all_facts(settings: Settings, broker: BrokerSettings | None, *, is_up: bool) -> Facts:
    """Returns all facts.

    broker  the broker to inspect; None: there is none
    is_up   a mesh of this home runs

    The collector's port is not probed while a collector of this home uses it, started by `cb-ctl up` or by systemd."""
    from dataclasses import replace

    from cloud_builder.adapters.machine.key import key
    from cloud_builder.adapters.sqlite.lock import is_held

    collector = settings.collector
    is_served = is_up or is_held(settings.home / "collector" / "state.sqlite")
    port = None if is_served else (f"{collector.host}:{collector.port}", host.port(collector.host, collector.port))
    return replace(
        quick_facts(settings),
        seccomp=host.seccomp(),
        cgroup_controllers=host.delegated(),
        key=key(settings.home / "collector" / "gnupg", collector.key_name),
        port=port,
        caches=_caches(settings),
        broker=_broker(broker, settings.dispatch),
    )


def _caches(settings: Settings) -> tuple[CacheFacts, ...]:
    entries = caches.find(settings, {*caches.CacheKind} - {caches.CacheKind.HOME})
    unused = caches.sizes([entry for entry in entries if not entry.is_used])
    return tuple(CacheFacts(str(kind), total, unused[kind]) for kind, total in caches.sizes(entries).items())


def _broker(settings: BrokerSettings | None, dispatch: Dispatch) -> BrokerFacts | None:
    from dataclasses import replace

    from cloud_builder.adapters.kafka.inspection import inspect

    if settings is None:
        return None
    found = inspect(settings)
    return found if found.error else replace(found, share_group_error=_share_group_error(settings, dispatch))


def _share_group_error(settings: BrokerSettings, dispatch: Dispatch) -> ProbeError | None:
    """Returns the error if the broker has no share groups. Ignores missing rights, which only a runner must have."""
    try:
        probe_share_groups(dispatch, settings)
    except Rejected as error:
        return ProbeError(error.message, error.hint) if error.code == "no-share-groups" else None
    return None


def _directories(settings: Settings, *, builds: bool) -> tuple[DirectoryFacts, ...]:
    """Returns the directories to check. One that is the home itself is not checked twice."""
    home = host.probe_directory("home", settings.home, "home")
    others = (
        host.probe_directory("store", settings.store_path, "store"),
        host.probe_directory("cache", settings.cache, "cache"),
    )
    work = (host.probe_directory("work", settings.runner_work, "runner.work", builds=True),) if builds else ()
    return (home, *(directory for directory in others if directory.path != home.path), *work)
