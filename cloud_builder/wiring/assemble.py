"""Each daemon's flow with its adapters: the one place where ports meet what fulfils them.

What must be closed at the end goes onto the stack. Imports stand in the functions: a daemon loads what it uses.
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
    from cloud_builder.builder.package import PackageBuilder


def request(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.adapters.deb.control import DebMetadata
    from cloud_builder.adapters.deb.repository_state import ReleaseStates
    from cloud_builder.adapters.git.mirror import GitMirror
    from cloud_builder.flow.request import RequestFlow

    states = ReleaseStates(settings.cache / "repository-states.json", settings.request.repository_state_max_age)
    mirror = GitMirror(settings.home / "mirrors")
    return RequestFlow(settings.request, settings.sources, mirror, [DebMetadata()], states)


def scheduler(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.flow.scheduler import SchedulerFlow

    require_share_groups(settings.dispatch, settings.broker)
    return SchedulerFlow(settings.scheduler, objects_url(settings), settings.dispatch)


def runner(settings: Settings, stack: ExitStack) -> Flow:
    """What an earlier life left on disk goes first: a runner without its broker, or one that is told to stop before it
    has begun, should not keep it."""
    from cloud_builder.adapters.store.directory import DirectoryStore
    from cloud_builder.builder.buildroot_cache import MAX_ROOTS
    from cloud_builder.builder.layer_cache import MAX_LAYERS
    from cloud_builder.flow.runner.cache_inventory import CacheInventory
    from cloud_builder.flow.runner.flow import RunnerFlow

    said, store = settings.runner, DirectoryStore(settings.store_path)
    hands: Builder
    if said.simulate:
        from cloud_builder.adapters.simulated.builder import SimulatedBuilder

        hands = SimulatedBuilder(store, settings.runner_work, said.simulate)
    else:
        hands = builder(settings, settings.runner_work, store, said.id)
    arch = platform.machine()
    shared = offers(settings, arch)
    if shared is not None:
        stack.callback(shared.close)
    flow = RunnerFlow(said, hands, arch, time.time(), inventory=CacheInventory(MAX_ROOTS, MAX_LAYERS), queue=shared)
    stack.callback(flow.close)
    with suppress(CloudBuilderError, OSError):  # The flow sweeps, too, and does not begin before it could.
        hands.sweep()
    return flow


def collector(settings: Settings, stack: ExitStack) -> Flow:
    """With the web server that shows what it publishes."""
    from cloud_builder.adapters.deb.repository import AptRepositories
    from cloud_builder.adapters.http.server import serve
    from cloud_builder.adapters.signing.gnupg import GnupgSigner
    from cloud_builder.adapters.store.directory import DirectoryStore
    from cloud_builder.flow.collector import CollectorFlow

    said = settings.collector
    home = settings.home / "collector"
    store = DirectoryStore(settings.store_path)
    signer = GnupgSigner(home / "gnupg", said.key_name)
    stack.callback(signer.close)
    shelves = home / "repositories"
    repositories = AptRepositories(shelves, store, signer, url=repositories_url(settings), keep=said.keep_snapshots)
    stack.callback(serve(said.host, said.port, shelves, store).close)
    return CollectorFlow(said, store, repositories, signer)


def info(settings: Settings, stack: ExitStack) -> Flow:
    from cloud_builder.flow.info import InfoFlow
    from cloud_builder.planning.schedule.queue import QueuePolicy

    said = settings.scheduler
    rules = QueuePolicy(said.ageing, said.weights, said.quotas)
    return InfoFlow(objects_url(settings), rules, days=settings.info.request_retention)


def objects_url(settings: Settings) -> str:
    """A file of sha256 D is at `<this>/D`: cb-collector serves the object store."""
    return f"{public_url(settings.collector)}/objects"


def repositories_url(settings: Settings) -> str:
    """Repository R is at `<this>/R`."""
    return f"{public_url(settings.collector)}/repositories"


def builder(settings: Settings, work: Path, store: ObjectStore, name: str) -> PackageBuilder:
    """What builds packages on this machine: for cb-runner, and for `cb-ctl build` without any mesh."""
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
        cores=max(1, (os.cpu_count() or 1) // settings.runner.slots),
    )
