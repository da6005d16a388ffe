"""A package builder with the real adapters: git, KIWI, apt, the sandbox, the store."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event

from cloud_builder.adapters.deb.recipe import DebRecipe
from cloud_builder.adapters.deb.repository_state import ReleaseStates
from cloud_builder.adapters.git import GitMirror
from cloud_builder.adapters.kiwi.root import KiwiRootMaker
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.builder.buildroot_cache import BuildrootCache, root_key
from cloud_builder.builder.package import PackageBuilder
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.ids import InputKey, JobId, RequestId, Revision, RunnerId, SourceName, UnitPath
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Kind
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.model.settings import RequestSettings
from cloud_builder.model.unit import Target

TESTS = Path(__file__).parents[2]
"""On the module path of a child process, so that it can import this module."""
EXAMPLE = Path(__file__).parents[3] / "sources-example"
TARGET = Target(name="bookworm.x86_64", dist="bookworm", arch="x86_64")
SOURCE = SourceName("example")


def _name_root_of_meshes(recipe: str, store: DirectoryStore, cache: Path) -> None:
    """Gives the build root that a mesh of other tests has made a second name: that of builders without a mesh.

    Both are made of the same description. Making the root again takes a minute, or many on a busy machine."""
    description = (EXAMPLE / "projects" / "packages" / "libgreet" / ".cb" / "build_root.kiwi").read_bytes()
    states = ReleaseStates(cache / "repository-states.json", RequestSettings().repository_state_max_age)
    state = states.state(description, [TARGET.name])
    mesh_key, local_key = (root_key(recipe, description, TARGET.name, repositories) for repositories in (state, ""))
    root = store.named(f"buildroot/{mesh_key}")
    if root and not store.named(f"buildroot/{local_key}"):
        store.name(f"buildroot/{local_key}", root)


class PackageWorkspace:
    """A home with a git repository to commit to, and a builder."""

    def __init__(self, home: Path, cache: Path) -> None:
        self.home, self.repository, self.work = home, home / "repository", home / "work"
        self.store = DirectoryStore(home / "store")
        sandbox = NamespaceSandbox(self.work / "scratch")
        kiwi, root_store = KiwiRootMaker(sandbox), DirectoryStore(cache / "store")
        _name_root_of_meshes(kiwi.recipe, root_store, cache)
        roots = BuildrootCache(kiwi, sandbox, root_store, cache / "package")
        self.mirror = GitMirror(home / "mirrors")
        self.builder = PackageBuilder(
            runner_id="runner-1",
            mirror=self.mirror,
            roots=roots,
            sandbox=sandbox,
            recipe=DebRecipe(),
            store=self.store,
            work=self.work,
            cores=2,
        )
        self.log = bytearray()
        self._jobs = 0

    def add_examples(self) -> None:
        shutil.copytree(EXAMPLE / "projects", self.repository / "projects", dirs_exist_ok=True)

    def unit(self, name: str) -> Path:
        return self.repository / "projects" / "packages" / name

    def build(
        self,
        name: str,
        *dependencies: AttemptFinished,
        limits: Limits | None = None,
        cancel: Event | None = None,
        rebuild: Rebuild | None = None,
    ) -> AttemptFinished:
        """Commits, exports and builds the present files of a unit."""
        assignment = self.assignment(name, limits or Limits(), packages_of(*dependencies))
        assignment = assignment.model_copy(update={"rebuild": rebuild})
        self.log = bytearray()
        return self.builder.build(assignment, self.log.extend, cancel or Event())

    def assignment(self, name: str, limits: Limits, dependencies: tuple[Artifact, ...]) -> JobAssigned:
        revision, directory = self._commit(), f"projects/packages/{name}"
        self.mirror.refresh(SOURCE, str(self.repository))
        self._jobs += 1
        return JobAssigned(
            job_id=JobId(f"r-test.{self._jobs}"),
            attempt=1,
            runner_id=RunnerId("runner-1"),
            request_id=RequestId("r-test"),
            source=SOURCE,
            url=str(self.repository),
            revision=revision,
            unit=UnitPath(f"packages/{name}"),
            directory=directory,
            name=name,
            kind=Kind.PACKAGE,
            tree=self.mirror.tree_id(SOURCE, revision, directory),
            target=TARGET,
            input_key=InputKey("0" * 64),
            dependencies=dependencies,
            limits=limits,
        )

    def log_text(self) -> str:
        return self.log.decode()

    def whole_log(self, finished: AttemptFinished) -> str:
        assert finished.log is not None
        with self.store.open(finished.log.sha256) as log:
            return log.read().decode()

    def leftovers(self) -> list[str]:
        """Returns directories and mounts of builds that have ended."""
        mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.home) in line]
        unfinished_layers = [str(path) for path in (self.work / "layers").glob(".new-*")]
        return [
            *map(str, (self.work / "jobs").iterdir()),
            *map(str, (self.work / "scratch").glob("*")),
            *unfinished_layers,
            *mounts,
        ]

    def _commit(self) -> Revision:
        def git(*arguments: str) -> str:
            identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
            command = ["git", "-C", str(self.repository), *identity, *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        if not (self.repository / ".git").exists():
            git("init", "--quiet", "--initial-branch=main")
        git("add", "--all", "--force")
        git("commit", "--quiet", "--allow-empty", "--message=A change")
        return Revision(git("rev-parse", "HEAD"))


def packages_of(*reports: AttemptFinished) -> tuple[Artifact, ...]:
    return tuple(artifact for report in reports for artifact in report.artifacts if artifact.kind is ArtifactKind.DEB)


def digests(finished: AttemptFinished) -> dict[str, str]:
    return {artifact.name: artifact.sha256 for artifact in finished.artifacts if artifact.kind is ArtifactKind.DEB}


def python(script: str, *arguments: str) -> list[str]:
    """Returns the command of a child process that runs the script."""
    return ["/usr/bin/env", f"PYTHONPATH={TESTS}", sys.executable, "-c", script, *arguments]
