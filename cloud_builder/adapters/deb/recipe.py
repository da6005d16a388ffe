"""The Debian fulfilment of ports.recipe.Recipe: one place that names what the modules beside it do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.ports.recipe import Action, Output, PackageSource

from . import build_commands, build_deps, log_patterns, outputs, relations, source

DEBUG_SYMBOLS = "-dbgsym"


class DebRecipe:
    """See the port. Stateless."""

    version = "deb-2"

    def read(self, directory: Path) -> PackageSource:
        return source.read_source(directory)

    def is_installable(self, artifact: Artifact) -> bool:
        """Binary packages, but for those with debug symbols: nothing is built with them."""
        if artifact.kind is not ArtifactKind.DEB:
            return False
        return artifact.package is None or not artifact.package.name.endswith(DEBUG_SYMBOLS)

    def without_local_packages(self, source: PackageSource, offered: Sequence[Artifact]) -> PackageSource:
        return relations.without_local_packages(source, offered)

    def install(self, source: PackageSource, offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
        return build_deps.install(source, offered, workspace, cache)

    def explain_install(self, source: PackageSource, said: Sequence[str]) -> CloudBuilderError:
        return build_deps.explain(source, said)

    def installed(self) -> Action:
        return build_deps.installed()

    def unpack(self, source: PackageSource) -> Action:
        return build_commands.unpack(source)

    def build(self, source: PackageSource, cores: int) -> Action:
        return build_commands.build(source, cores)

    def shell(self, source: PackageSource, cores: int) -> Action:
        return build_commands.shell(source, cores)

    def error_rank(self, line: str) -> int:
        return log_patterns.error_rank(line)

    def collect(self, source: PackageSource, root: Path) -> tuple[Output, ...]:
        return outputs.collect(source, root)
