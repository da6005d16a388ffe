"""A build task: an assignment of the mesh, or a directory of a working tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import JobId
from cloud_builder.model.limits import Limits
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.model.unit import Target

LOCAL = JobId("local.1")
"""The job id in the report of a build without a mesh."""


@dataclass(frozen=True)
class BuildTask:
    """One attempt as the builder sees it. `fetch` writes the unit's directory to a path."""

    job_id: JobId
    attempt: int
    name: str
    target: Target
    fetch: Callable[[Path], None]
    repositories: str = ""
    dependencies: tuple[Artifact, ...] = ()
    limits: Limits = field(default_factory=Limits)
    profiles: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    rebuild: Rebuild | None = None

    @property
    def log_name(self) -> str:
        return f"{self.name}_{self.target.name}.log"


def task_for_directory(
    directory: Path,
    target: Target,
    dependencies: Sequence[Artifact] = (),
    limits: Limits | None = None,
    *,
    profiles: tuple[str, ...] = (),
    build_options: tuple[str, ...] = (),
    repositories: str = "",
) -> BuildTask:
    """Returns the task of building a unit's directory as it is, without a mesh.

    `repositories`: the state of the package repositories of its build root."""
    return BuildTask(
        job_id=LOCAL,
        attempt=1,
        name=directory.resolve().name,
        target=target,
        fetch=lambda into: _copy(directory, into),
        dependencies=tuple(dependencies),
        limits=limits or Limits(),
        profiles=profiles,
        build_options=build_options,
        repositories=repositories,
    )


def make_readable(tree: Path) -> None:
    """Makes a source readable for the build user. The umask of a working tree may forbid it."""
    for directory, _, files in os.walk(tree):
        Path(directory).chmod(0o755)
        for file in files:
            path = Path(directory, file)
            if not path.is_symlink():
                path.chmod((path.stat().st_mode & 0o100 and 0o755) or 0o644)


def _copy(directory: Path, into: Path) -> None:
    """Copies a unit. A link that leaves the unit for the same working tree becomes a copy, as in a commit."""
    shutil.copytree(directory, into, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    unit = directory.resolve()
    top = next((parent for parent in (unit, *unit.parents) if (parent / ".git").exists()), unit)
    for parent, directories, files in os.walk(into):
        for name in (*directories, *files):
            link = Path(parent, name)
            target = (unit / link.relative_to(into)).resolve() if link.is_symlink() else unit
            if target.is_relative_to(unit) or not target.is_relative_to(top) or unit.is_relative_to(target):
                continue
            if target.is_file():
                link.unlink()
                shutil.copy2(target, link)
            elif target.is_dir():
                link.unlink()
                shutil.copytree(target, link, symlinks=True)
