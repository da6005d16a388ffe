"""The recipe for Debian packages (ports.recipe.Recipe). Delegates each step to a module beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.ports.recipe import Action, Output, PackageSource

from . import build_commands, build_deps, distribution, log_patterns, outputs, package_test, relations, source

DEBUG_SYMBOLS = "-dbgsym"


class DebRecipe:
    """Stateless; the port describes each method."""

    version = "deb-6"

    def read(self, directory: Path) -> PackageSource:
        return source.read_source(directory)

    def is_installable(self, artifact: Artifact) -> bool:
        """Returns whether other packages may be built with it: binary packages, except those with debug symbols."""
        if artifact.kind is not ArtifactKind.DEB:
            return False
        return artifact.package is None or not artifact.package.name.endswith(DEBUG_SYMBOLS)

    def without_local_packages(self, source: PackageSource, offered: Sequence[Artifact]) -> PackageSource:
        return relations.without_local_packages(source, offered)

    def install(self, source: PackageSource, offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
        return build_deps.install(source, offered, workspace, cache)

    def explain_install(self, source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
        return build_deps.explain(source, output)

    def installed(self) -> Action:
        return build_deps.installed()

    def unpack(self, source: PackageSource) -> Action:
        return build_commands.unpack(source)

    def build(self, source: PackageSource, cores: int) -> Action:
        return build_commands.build(source, cores)

    def packages_to_test(
        self, source: PackageSource, outputs: Sequence[Output], names: Sequence[str]
    ) -> tuple[Output, ...]:
        return package_test.packages_to_test(source, outputs, names)

    def install_built(self, packages: Sequence[Path], offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
        return package_test.install(packages, offered, workspace, cache)

    def explain_install_built(self, source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
        return package_test.explain(source, output)

    def test_command(self, source: PackageSource, text: str) -> Action:
        return package_test.command(source, text)

    def shell(self, source: PackageSource, cores: int) -> Action:
        return build_commands.shell(source, cores)

    def error_rank(self, line: str) -> int:
        return log_patterns.error_rank(line)

    def collect(self, source: PackageSource, root: Path, build_root: Path) -> tuple[Output, ...]:
        return distribution.marked(outputs.collect(source, root), build_root)
