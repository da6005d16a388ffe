"""The product's package builder on a git repository of our own, with roots that stay in the user's cache."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from threading import Event

from bench.debian_sources import fetched
from bench.processes import bench_cache
from cloud_builder.adapters.deb.recipe import DebRecipe
from cloud_builder.adapters.git import GitMirror
from cloud_builder.adapters.kiwi.root import KiwiRootMaker
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.builder.buildroot_cache import BuildrootCache
from cloud_builder.builder.package import PackageBuilder
from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.outcome import Kind, Outcome
from cloud_builder.model.unit import Target

DESCRIPTION = Path(__file__).parents[2] / "sources-example/projects/packages/greet/.cb/build_root.kiwi"
TARGET = Target(name="bookworm.x86_64", dist="bookworm", arch=platform.machine())


class LocalBuilder:
    """`home` goes away; the base root stays in the cache, where the object store of roots is, too."""

    def __init__(self, home: Path, cores: int) -> None:
        self.repository, self.work, self.roots_at = home / "repository", home / "work", bench_cache() / "roots"
        self.sandbox = NamespaceSandbox(self.work / "scratch")
        self.roots = self.roots_in(self.roots_at)
        self.mirror = GitMirror(home / "mirrors")
        self._jobs = 0
        self.builder = PackageBuilder(
            runner_id="bench",
            mirror=self.mirror,
            roots=self.roots,
            sandbox=self.sandbox,
            recipe=DebRecipe(),
            store=DirectoryStore(home / "store"),
            work=self.work,
            cores=cores,
        )

    def roots_in(self, work: Path) -> BuildrootCache:
        return BuildrootCache(KiwiRootMaker(self.sandbox), self.sandbox, DirectoryStore(bench_cache() / "store"), work)

    def take(self, name: str) -> Path:
        """Commits a unit with a Debian source; returns its directory."""
        unit = self.repository / "projects" / name
        (unit / ".cb").mkdir(parents=True)
        shutil.copy(DESCRIPTION, unit / ".cb")
        for file in fetched(name):
            shutil.copy(file, unit)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("add", "--all", "--force")
        self._git(
            "-c", "user.name=Bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "--message=A source"
        )
        return unit

    def assignment(self, name: str) -> JobAssigned:
        revision = self._git("rev-parse", "HEAD")
        self.mirror.refresh("bench", str(self.repository))
        self._jobs += 1
        return JobAssigned(
            job_id=f"r-bench.{self._jobs}",
            attempt=1,
            runner_id="bench",
            request_id="r-bench",
            source="bench",
            url=str(self.repository),
            revision=revision,
            unit=name,
            directory=f"projects/{name}",
            name=name,
            kind=Kind.PACKAGE,
            tree=self.mirror.tree_id("bench", revision, f"projects/{name}"),
            target=TARGET,
            input_key="0" * 64,
        )

    def build(self, name: str) -> AttemptFinished:
        assignment, output = self.assignment(name), bytearray()
        finished = self.builder.build(assignment, output.extend, Event())
        if finished.outcome is not Outcome.SUCCESS:
            raise RuntimeError(f"{name}: {finished.message}\n{output.decode(errors='replace')[-3000:]}")
        return finished

    def _git(self, *words: str) -> str:
        self.repository.mkdir(exist_ok=True)
        command = ["git", "-C", str(self.repository), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
