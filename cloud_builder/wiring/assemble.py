"""Builds each daemon's flow with its adapters. No other module chooses the adapters of daemons.

What must be closed at the end is registered on the exit stack. Imports are inside the functions, so that a daemon loads
only what it uses.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.settings import Settings
from cloud_builder.ports.builder import Builder
from cloud_builder.ports.mesh import Flow
from cloud_builder.ports.store import ObjectStore

from .broker import offers, require_share_groups
from .public_url import public_url

if TYPE_CHECKING:
    from cloud_builder.adapters.deb.repository_state import ReleaseStates
    from cloud_builder.builder.package import PackageBuilder


def request(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.adapters.deb.control import DebMetadata
    from cloud_builder.adapters.git.mirror import GitMirror
    from cloud_builder.flow.request import RequestFlow

    mirror = GitMirror(settings.home / "mirrors")
    return RequestFlow(settings.request, settings.sources, mirror, [DebMetadata()], repository_states(settings))


def scheduler(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.flow.scheduler import SchedulerFlow

    require_share_groups(settings.dispatch, settings.broker)
    return SchedulerFlow(settings.scheduler, objects_url(settings), settings.dispatch)


def runner(settings: Settings, stack: ExitStack) -> Flow:
    """Builds the runner's flow, and removes what an earlier process left on disk.

    The flow does that only after the broker was reached; a runner that never reaches it would keep the leftovers."""
    from cloud_builder.adapters.store.directory import DirectoryStore
    from cloud_builder.builder.buildroot_cache import MAX_ROOTS
    from cloud_builder.flow.runner.cache_inventory import MAX_LAYERS, CacheInventory
    from cloud_builder.flow.runner.flow import RunnerFlow

    options, store = settings.runner, DirectoryStore(settings.store_path)
    package_builder: Builder
    if options.simulate:
        from cloud_builder.adapters.simulated.builder import SimulatedBuilder

        package_builder = SimulatedBuilder(store, settings.runner_work, options.simulate)
    else:
        package_builder = builder(settings, settings.runner_work, store, options.id)
    arch = platform.machine()
    queue = offers(settings, arch)
    if queue is not None:
        stack.callback(queue.close)
    inventory = CacheInventory(MAX_ROOTS, MAX_LAYERS)
    flow = RunnerFlow(options, package_builder, arch, time.time(), inventory=inventory, queue=queue)
    stack.callback(flow.close)
    with suppress(CloudBuilderError, OSError):  # The flow sweeps again, and takes no job until that has succeeded.
        package_builder.sweep()
    return flow


def collector(settings: Settings, stack: ExitStack) -> Flow:
    """Builds the collector's flow, and starts the web server for its repositories and objects."""
    from cloud_builder.adapters.deb.repository import AptRepositories
    from cloud_builder.adapters.http.server import serve
    from cloud_builder.adapters.signing.gnupg import GnupgSigner
    from cloud_builder.adapters.store.directory import DirectoryStore
    from cloud_builder.flow.collector import CollectorFlow

    options = settings.collector
    home = settings.home / "collector"
    store = DirectoryStore(settings.store_path)
    signer = GnupgSigner(home / "gnupg", options.key_name)
    stack.callback(signer.close)
    directory = home / "repositories"
    url = repositories_url(settings)
    repositories = AptRepositories(directory, store, signer, url=url, keep=options.keep_snapshots)
    stack.callback(serve(options.host, options.port, directory, store).close)
    return CollectorFlow(options, store, repositories, signer, object_retention(settings))


def object_retention(settings: Settings) -> float:
    """Returns the seconds for which an unused object is kept: not less than any daemon refers to it."""
    days = settings.collector.object_retention
    if not days:
        return 0.0
    return 86400.0 * max(days, settings.scheduler.result_retention + 2, settings.info.request_retention + 2)


def info(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.flow.info import InfoFlow
    from cloud_builder.planning.schedule.queue import QueuePolicy

    options = settings.scheduler
    policy = QueuePolicy(options.ageing, options.weights, options.quotas)
    return InfoFlow(objects_url(settings), policy, days=settings.info.request_retention)


def repository_states(settings: Settings) -> ReleaseStates:
    """Returns the states of package repositories, which all meshes and builds with one cache share."""
    from cloud_builder.adapters.deb.repository_state import ReleaseStates

    return ReleaseStates(settings.cache / "repository-states.json", settings.request.repository_state_max_age)


def objects_url(settings: Settings) -> str:
    """Returns the URL at which cb-collector serves the object store; the object with sha256 D is at `<url>/D`."""
    return f"{public_url(settings.collector)}/objects"


def repositories_url(settings: Settings) -> str:
    """Returns the URL at which cb-collector serves repositories; repository R is at `<url>/R`."""
    return f"{public_url(settings.collector)}/repositories"


def builder(settings: Settings, work: Path, store: ObjectStore, name: str) -> PackageBuilder:
    """Returns the builder of packages on this machine, for cb-runner, and for `cb-ctl build` without a mesh."""
    from cloud_builder.adapters.deb.recipe import DebRecipe
    from cloud_builder.adapters.git.mirror import GitMirror
    from cloud_builder.adapters.kiwi.root import KiwiRootMaker
    from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
    from cloud_builder.adapters.store.directory import DirectoryStore
    from cloud_builder.builder.buildroot_cache import BuildrootCache
    from cloud_builder.builder.package import PackageBuilder

    sandbox = NamespaceSandbox(work / "scratch")
    roots = BuildrootCache(KiwiRootMaker(sandbox), sandbox, DirectoryStore(settings.buildroot_store_path), work)
    return PackageBuilder(
        runner_id=name,
        mirror=GitMirror(settings.home / "mirrors"),
        roots=roots,
        sandbox=sandbox,
        recipe=DebRecipe(),
        store=store,
        work=work,
        layer_bytes=settings.runner.layer_cache,
        cores=max(1, (os.cpu_count() or 1) // settings.runner.slots),
    )
