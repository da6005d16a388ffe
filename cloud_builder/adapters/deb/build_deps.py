"""Installs the build dependencies of a source into a layer, and explains why apt could not.

Local packages (built by this mesh) are a flat repository in the workspace, which the sandbox mounts at /layer; it is
pinned above all others. Those that the distribution has installed in the layers below are replaced first, in every
version. It needs no signature: each file was fetched by its sha256 from the object store, its index is made from these
files, and nothing but the runner can write there. apt looks for signatures and compressed lists that it lacks; `-qq`
keeps that out of the log, and errors are still printed. Packages of the distribution come from the repositories of the
build root, whose lists are in the root. This is the only step in which a build root has a network.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from cloud_builder.model.artifact import BinaryPackage
from cloud_builder.ports.recipe import BUILDER, Action, PackageSource
from cloud_builder.ports.sandbox import Bind

from . import binary_package
from .build_commands import PATH, profiles_of
from .relations import package_names, with_providers
from .unmet import unmet_dependencies

RECIPE_DEPENDS = "build-essential, dpkg-dev, fakeroot"
"""Packages that the recipe itself calls, in addition to those that the source names."""

APT_CONF = """
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Get::allow-downgrades "true";
APT::Sandbox::User "root";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::Languages "none";
Debug::NoLocking "true";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; "--force-confnew"; };
"""
_NO_CACHE = 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
"""Switches apt's binary caches off: the cache in the root covers its own repositories only, and a new one would take
70 MB in every layer."""
_MAX_EXPLAINED = 1000
"""Characters of the names of packages that apt is asked about, one after the other, when it cannot install."""
_SIZE_OF_OFFERED = 0
"""The Installed-Size of offered packages in the index, in KiB. No package of the distribution has it: dpkg counts at
least a directory."""
PIN = 'Package: *\nPin: origin ""\nPin-Priority: 1001\n'
_INSTALL = rf"""
set -eu; umask 022
list=/etc/apt/sources.list.d/cb-offered.list pin=/etc/apt/preferences.d/cb-offered
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
if [ -s /layer/Packages ]; then
    mkdir -p "${{list%/*}}" "${{pin%/*}}"
    echo 'deb [trusted=yes] file:/layer ./' > "$list"
    cp /layer/pin "$pin"
    apt-get -qq update -o Dir::Etc::SourceList="$list" -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0
fi
is_installed() {{ dpkg-query -W -f '${{db:Status-Status}}\n' "$1" 2>/dev/null | grep -qx installed; }}
ours=
while read -r name arch _; do
    [ "$arch" = all ] && package=$name || package=$name:$arch
    if is_installed "$package" || is_installed "$name"; then ours="$ours $package"; fi
done < /layer/names
install_all() {{
    if [ -n "$ours" ]; then apt-get "$@" install $ours; fi && apt-get "$@" build-dep /layer/source
}}
blocked() {{ sed -nE 's/^.*Depends: ([^ :]+).* but it is not going to be installed$/\1/p'; }}
explain() {{
    printf '%s\n' "$reports"
    names=$(printf '%s\n' "$reports" | blocked) seen=' '
    while [ -n "$names" ] && [ "${{#seen}}" -lt {_MAX_EXPLAINED} ]; do
        set -- $names
        [ $# -gt 0 ] || break
        name=$1; shift; names=$*
        case $seen in *" $name "*) continue ;; esac
        seen="$seen$name "
        report=$(apt-get --simulate install "$name" 2>&1 | sed -n '/^The following packages have unmet/,$p')
        reports="$reports
$report"
        printf '%s\n' "$report"
        names="$names $(printf '%s\n' "$report" | blocked)"
    done
    apt-cache policy $(cat /layer/package-names) $(printf '%s\n' "$reports" | sed -nE 's/^.*Depends: ([^ :]+).*/\1/p')
}}
install_all || {{
    if ! reports=$(install_all --simulate 2>&1); then
        explain
        exit 1
    fi
    echo 'The package lists may be older than the mirror; updating them.'
    apt-get update || exit 1  # `set -e` does not hold in here
    install_all || exit 1
}}
rm -f "$list" "$pin" /var/lib/apt/lists/_layer_* /var/cache/apt/*.bin
getent group {BUILDER} >/dev/null || echo 'builder:x:{BUILDER}:' >> /etc/group
getent passwd {BUILDER} >/dev/null || echo 'builder:x:{BUILDER}:{BUILDER}::/nonexistent:/bin/sh' >> /etc/passwd
mkdir -p /build; chown {BUILDER}:{BUILDER} /build
"""
_ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_CONFIG": "/layer/apt.conf",
}
_LISTED = ("dpkg-query", "-W", "-f", r"${Package} ${Version} ${Architecture}\n")

MIRROR_FAULT = re.compile(
    r"Failed to fetch|Could not (resolve|connect)|Temporary failure|Unable to (fetch|connect)|Hash Sum mismatch"
    r"|Connection (failed|timed out)|No space left on device|File has unexpected size|Splitting up .* failed"
)


def install(source: PackageSource, offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
    """See ports.recipe.Recipe.install."""
    (workspace / "source" / "debian").mkdir(parents=True)
    (workspace / "package-names").write_text(" ".join(package_names(source)), encoding="utf-8")
    (workspace / "apt.conf").write_text(APT_CONF + (_NO_CACHE if offered else ""), encoding="utf-8")
    (workspace / "pin").write_text(PIN, encoding="utf-8")
    packages = write_index(offered, workspace)
    (workspace / "source" / "debian" / "control").write_text(_control(source, packages), encoding="utf-8")
    (cache / "partial").mkdir(parents=True, exist_ok=True)
    return Action(
        command=("sh", "-c", _INSTALL, "install"),
        uid=0,
        network=True,
        environment={**_ENVIRONMENT, **profiles_of(source)},
        binds=(Bind(workspace, "/layer"), Bind(cache, "/var/cache/apt/archives", writable=True)),
    )


def installed() -> Action:
    return Action(command=_LISTED, environment=_ENVIRONMENT)


def _control(source: PackageSource, offered: Sequence[BinaryPackage]) -> str:
    """Returns a debian/control with the relations alone: the fields that the key of the layer covers."""
    fields = {
        field: relations if field.startswith("Build-Conflicts") else with_providers(relations, offered)
        for field, relations in source.build_depends
    }
    fields["Build-Depends"] = ", ".join(filter(None, (fields.get("Build-Depends"), RECIPE_DEPENDS)))
    return "".join(f"{field}: {value}\n" for field, value in (("Source", source.name), *fields.items()))


def write_index(offered: Sequence[Path], workspace: Path) -> list[BinaryPackage]:
    """Writes Packages of the files, and the file `names` with one `name architecture version` a line.

    Returns the metadata of the files, which are below `workspace`."""
    stanzas, packages = [], []
    for path in offered:
        control = binary_package.read(path)
        package = binary_package.binary_package(control)
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        filename = str(path.relative_to(workspace))
        stanzas.append(_distinct(binary_package.packages_entry(control, filename, path.stat().st_size, digest)))
        packages.append(package)
    (workspace / "Packages").write_text("\n".join(stanzas), encoding="utf-8")
    names = "".join(f"{package.name} {package.architecture} {package.version}\n" for package in packages)
    (workspace / "names").write_text(names, encoding="utf-8")
    return packages


def _distinct(stanza: str) -> str:
    """Returns a stanza that apt takes for another package than one of the distribution with the same version.

    apt takes two packages of one name and version for the same if Installed-Size and some relations are the same
    (debListParser::VersionHash, SameVersion): then it would keep the one that is installed already, or fetch either."""
    return re.sub(r"^Installed-Size:.*\n", "", stanza, flags=re.MULTILINE) + f"Installed-Size: {_SIZE_OF_OFFERED}\n"


def explain(source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
    """See ports.recipe.Recipe.explain_install."""
    fault = next((line for line in output if MIRROR_FAULT.search(line)), None)
    if fault:
        hint = "Check that the runner can reach the mirror that build_root.kiwi names."
        return Retryable(f"packages cannot be fetched: {fault.strip()}", code="mirror", hint=hint, delay=10.0)
    unmet = unmet_dependencies(output)
    if unmet:
        hint = (
            "Correct debian/control, add a unit that provides it, or add a repository that has it to build_root.kiwi."
        )
        return Permanent(unmet, code="build-dependency", hint=hint)
    cause = next((line for line in output if line.startswith(("E: ", "dpkg: error"))), "apt failed")
    hint = "Read apt's output in the log; `cb-ctl shell` opens the same build root."
    return Permanent(f"the build dependencies cannot be installed: {cause}", code="build-dependency", hint=hint)
