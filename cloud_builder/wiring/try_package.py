"""`cb-ctl try` without its command line: a root, a repository and a command come in, an exit status goes out.

The root is the one that the repository's packages are built on, so it is there already when this machine built them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.error import URLError
from urllib.request import urlopen

from cloud_builder.adapters.deb.install_test import NOT_INSTALLED, install_command
from cloud_builder.adapters.git.mirror import GitMirror
from cloud_builder.adapters.kiwi.root import KiwiRootMaker
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.builder.buildroot_cache import BuildrootCache
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.model.settings import Settings
from cloud_builder.ports.sandbox import Confinement

DESCRIPTION = ".cb/build_root.kiwi"
_MOST = 1024 * 1024


@dataclass(frozen=True)
class RootSource:
    """Where the description of a build root lies, and for what."""

    source: SourceName
    url: str
    revision: Revision
    directory: str
    profile: str
    repositories: str


@dataclass(frozen=True)
class TryRequest:
    """What to install from where, and what to run then; `command` empty: a shell on our terminal."""

    repository: str
    url: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    root: RootSource


def run(settings: Settings, wanted: TryRequest, output: Callable[[bytes], None]) -> int:
    """The exit status of the command. Permanent or Retryable when the root or the repository cannot be had."""
    source = _fetched(f"{wanted.url}/{wanted.repository}.sources")
    sandbox = NamespaceSandbox(settings.runner_work / "scratch")
    store = DirectoryStore(settings.buildroot_store_path)
    roots = BuildrootCache(KiwiRootMaker(sandbox), sandbox, store, settings.runner_work)
    with tempfile.TemporaryDirectory(prefix="cb-try-") as directory:
        workspace = Path(directory)
        workspace.chmod(0o755)
        description = _described(settings, wanted.root, workspace)
        root = roots.acquire(description, wanted.root.profile, wanted.root.repositories, output, Event())
        action = install_command(wanted.repository, source, wanted.packages, wanted.command, workspace)
        confinement = Confinement(
            layers=(root.path,),
            binds=action.binds,
            network=action.network,
            uid=action.uid,
            environment=action.environment,
        )
        terminal = None if wanted.command else 0
        status = sandbox.run(action.command, confinement, output=output, cancel=Event(), stdin=terminal).status
        if status == NOT_INSTALLED:
            what = f"{', '.join(wanted.packages)} from {wanted.repository}"
            raise Permanent(f"apt could not install {what}", code="not-installed", hint="Its own words are above.")
        return status


def _described(settings: Settings, root: RootSource, workspace: Path) -> Path:
    mirror = GitMirror(settings.home / "mirrors")
    mirror.refresh(root.source, root.url)
    file = workspace / Path(DESCRIPTION).name
    file.write_bytes(mirror.read(root.source, root.revision, f"{root.directory}/{DESCRIPTION}", _MOST))
    return file


def _fetched(url: str) -> str:
    try:
        with urlopen(url, timeout=30) as answer:
            text: str = answer.read(_MOST).decode()
            return text
    except (URLError, OSError) as cause:
        hint = "Is cb-collector running, and reachable under the URL that `cb-ctl list repositories` shows?"
        raise Retryable(f"{url}: {cause}", code="repository-unreachable", hint=hint) from cause
