"""Installs the packages that a build made, and runs the test commands of its manifest (`test`).

The packages are a flat repository in the workspace, which the sandbox mounts at /test; so are the packages of the mesh
that the build could use. Everything else comes from the repositories of the build root. Only the installation has a
network, as for build dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.ports.recipe import Action, Output, PackageSource
from cloud_builder.ports.sandbox import Bind

from .build_commands import ENVIRONMENT
from .build_deps import APT_CONF, MIRROR_FAULT, PIN, write_index

SOURCE = "/source"
_INSTALL = """
set -eu; umask 022
list=/etc/apt/sources.list.d/cb-test.list pin=/etc/apt/preferences.d/cb-test
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
mkdir -p "${list%/*}" "${pin%/*}"
echo 'deb [trusted=yes] file:/test ./' > "$list"
cp /test/pin "$pin"
apt-get -qq update -o Dir::Etc::SourceList="$list" -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0
apt-get -q install "$@" || {
    apt-get -q --simulate install "$@" >/dev/null 2>&1 || exit 1
    echo 'The package lists may be older than the mirror; updating them.'
    apt-get -q update || exit 1  # `set -e` does not hold in here
    apt-get -q install "$@" || exit 1
}
rm -f "$list" "$pin" /var/lib/apt/lists/_test_*
"""
_ENVIRONMENT = {**ENVIRONMENT, "HOME": "/root", "USER": "root", "LOGNAME": "root"}
_HEADING = "The following packages have unmet dependencies"


def packages_to_test(source: PackageSource, outputs: Sequence[Output], names: Sequence[str]) -> tuple[Output, ...]:
    """Returns the built packages with these names; without names all but those with debug symbols.

    Raises Permanent for a name that the build did not make."""
    built = {output.package.name: output for output in outputs if output.kind is ArtifactKind.DEB and output.package}
    for name in names:
        if name not in built:
            message = f"{source.name} {source.version}: test.packages names {name}, which the build did not make"
            raise Permanent(message, code="test-install", hint=did_you_mean(name, built))
    return tuple(built[name] for name in names or built if names or not name.endswith("-dbgsym"))


def install(packages: Sequence[Path], offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
    """See ports.recipe.Recipe.install_built."""
    write_index([*offered, *packages], workspace)
    listed = (workspace / "names").read_text(encoding="utf-8").splitlines()
    chosen = [line.split() for line in listed[len(offered) :]]
    (workspace / "apt.conf").write_text(APT_CONF, encoding="utf-8")
    (workspace / "pin").write_text(PIN, encoding="utf-8")
    (cache / "partial").mkdir(parents=True, exist_ok=True)
    return Action(
        command=("sh", "-c", _INSTALL, "install", *(f"{name}={version}" for name, _, version in chosen)),
        uid=0,
        network=True,
        environment={**_ENVIRONMENT, "APT_CONFIG": "/test/apt.conf"},
        binds=(Bind(workspace, "/test"), Bind(cache, "/var/cache/apt/archives", writable=True)),
    )


def explain(source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
    """See ports.recipe.Recipe.explain_install_built."""
    fault = next((line for line in output if MIRROR_FAULT.search(line)), None)
    if fault:
        hint = "Check that the runner can reach the mirror that build_root.kiwi names."
        return Retryable(f"packages cannot be fetched: {fault.strip()}", code="mirror", hint=hint, delay=10.0)
    start = max((number for number, line in enumerate(output) if line.startswith(_HEADING)), default=None)
    unmet = output[start + 1] if start is not None and start + 1 < len(output) else ""
    errors = (line for line in output if line.startswith(("E: ", "dpkg: error")))
    cause = " ".join(unmet.split()) or next(errors, "apt failed")
    hint = (
        "A unit that only the test needs belongs into Build-Depends (NAME <!nocheck>), or its repository into"
        " build_root.kiwi. Packages that conflict: name those to install in test.packages of the manifest."
    )
    message = f"{source.name} {source.version}: the built packages cannot be installed for the test: {cause}"
    return Permanent(message, code="test-install", hint=hint)


def command(source: PackageSource, text: str) -> Action:
    """See ports.recipe.Recipe.test_command."""
    return Action(
        command=("sh", "-ec", text),
        uid=0,
        directory=SOURCE,
        environment=_ENVIRONMENT,
        binds=(Bind(source.directory, SOURCE),),
    )
