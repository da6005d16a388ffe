"""Installs packages of a repository into a throw-away build root, and runs a command there (`cb-ctl try`).

The build root is the one that the repository's packages are built in, so it is cached if this machine has built them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event
from urllib.error import URLError
from urllib.request import urlopen

from cloud_builder.adapters.deb.install_test import NOT_INSTALLED, install_command
from cloud_builder.adapters.git.mirror import GitMirror
from cloud_builder.adapters.kiwi import description, keys
from cloud_builder.adapters.kiwi.root import KiwiRootMaker
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.builder.buildroot_cache import BuildrootCache
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.model.settings import Settings
from cloud_builder.model.unit import BUILD_ROOT_DESCRIPTION
from cloud_builder.ports.sandbox import Confinement

_MAX_BYTES = 1024 * 1024
"""Of a build root's description, and of a repository's `.sources` file."""


@dataclass(frozen=True)
class RootSource:
    """The location of a build root's description, and the profile and repositories to build it with."""

    source: SourceName
    url: str
    revision: Revision
    directory: str
    profile: str
    repositories: str


@dataclass(frozen=True)
class TryRequest:
    """The packages to install from a repository, and the command to run; `command` empty: a shell on the terminal."""

    repository: str
    url: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    root: RootSource


def run(settings: Settings, request: TryRequest, output: Callable[[bytes], None]) -> int:
    """Returns the exit status of the command.

    Permanent or Retryable when the build root, the repository or a package is not available."""
    source = _fetch(f"{request.url}/{request.repository}.sources")
    sandbox = NamespaceSandbox(settings.runner_work / "scratch")
    store = DirectoryStore(settings.buildroot_store_path)
    roots = BuildrootCache(KiwiRootMaker(sandbox), sandbox, store, settings.runner_work)
    with tempfile.TemporaryDirectory(prefix="cb-try-") as directory:
        workspace = Path(directory)
        workspace.chmod(0o755)
        file = _write_description(settings, request.root, workspace)
        root = roots.acquire(file, request.root.profile, request.root.repositories, output, Event())
        action = install_command(request.repository, source, request.packages, request.command, workspace)
        confinement = Confinement(
            layers=(root.path,),
            binds=action.binds,
            network=action.network,
            uid=action.uid,
            environment=action.environment,
        )
        terminal = None if request.command else 0
        status = sandbox.run(action.command, confinement, output=output, cancel=Event(), stdin=terminal).status
        if status == NOT_INSTALLED:
            what = f"{', '.join(request.packages)} from {request.repository}"
            raise Permanent(f"apt could not install {what}", code="not-installed", hint="See the output of apt above.")
        return status


def _write_description(settings: Settings, root: RootSource, workspace: Path) -> Path:
    mirror = GitMirror(settings.home / "mirrors")
    mirror.refresh(root.source, root.url)
    file = workspace / Path(BUILD_ROOT_DESCRIPTION).name
    top = PurePosixPath(root.directory, BUILD_ROOT_DESCRIPTION).parent
    file.write_bytes(mirror.read(root.source, root.revision, f"{top}/{file.name}", _MAX_BYTES))
    for name in keys.names_beside(description.read(file, root.profile)):
        key = workspace / name
        key.parent.mkdir(parents=True, exist_ok=True)
        key.write_bytes(mirror.read(root.source, root.revision, f"{top}/{name}", _MAX_BYTES))
    return file


def _fetch(url: str) -> str:
    try:
        with urlopen(url, timeout=30) as answer:
            text: str = answer.read(_MAX_BYTES).decode()
            return text
    except (URLError, OSError) as cause:
        hint = "Check that cb-collector is running, and that the URL in `cb-ctl list repositories` can be reached."
        raise Retryable(f"{url}: {cause}", code="repository-unreachable", hint=hint) from cause
