"""Installs the build dependencies of a source into a layer, and explains why apt could not.

Local packages (built by this mesh) are a flat repository in the workspace, which the sandbox mounts at /layer; it is
pinned above all others. It needs no signature: each file was fetched by its sha256 from the object store, its index is
made from these files, and nothing but the runner can write there. apt looks for signatures and compressed lists that it
lacks; `-qq` keeps that out of the log, and errors are still printed. Packages of the distribution come from the
repositories of the build root, whose lists are in the root. This is the only step in which a build root has a network.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from cloud_builder.ports.recipe import BUILDER, Action, PackageSource
from cloud_builder.ports.sandbox import Bind

from . import binary_package
from .build_commands import PATH, profiles_of
from .relations import package_names

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
PIN = 'Package: *\nPin: origin ""\nPin-Priority: 1001\n'
_INSTALL = f"""
set -eu; umask 022
list=/etc/apt/sources.list.d/cb-offered.list pin=/etc/apt/preferences.d/cb-offered
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
if [ -s /layer/Packages ]; then
    mkdir -p "${{list%/*}}" "${{pin%/*}}"
    echo 'deb [trusted=yes] file:/layer ./' > "$list"
    cp /layer/pin "$pin"
    apt-get -qq update -o Dir::Etc::SourceList="$list" -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0
fi
apt-get build-dep /layer/source || {{
    if ! apt-get --simulate build-dep /layer/source >/dev/null 2>&1; then
        apt-cache policy $(cat /layer/package-names)
        exit 1
    fi
    echo 'The package lists may be older than the mirror; updating them.'
    apt-get update && apt-get build-dep /layer/source
}}
newer=
while read -r name arch version; do
    have=$(dpkg-query -W -f '${{db:Status-Status}} ${{Version}}' "$name:$arch" 2>/dev/null ||
           dpkg-query -W -f '${{db:Status-Status}} ${{Version}}' "$name" 2>/dev/null || true)
    case $have in "installed $version") ;; installed*) newer="$newer $name=$version" ;; esac
done < /layer/names
[ -z "$newer" ] || apt-get install $newer
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

_HEADING = "The following packages have unmet dependencies"
_UNMET = re.compile(r"^ *builddeps:.* : (?P<first>.*)|^ +(?P<next>(?:Pre-)?Depends: .*|Conflicts: .*)")
_CANDIDATE = re.compile(r"^  Candidate: (?P<version>\S+)")
_REASON = re.compile(r"(?:Pre-)?(?P<kind>Depends|Conflicts): (?P<what>.+?)(?: but (?P<why>.*))?$")
MIRROR_FAULT = re.compile(
    r"Failed to fetch|Could not (resolve|connect)|Temporary failure|Unable to (fetch|connect)|Hash Sum mismatch"
    r"|Connection (failed|timed out)|No space left on device|File has unexpected size|Splitting up .* failed"
)


def install(source: PackageSource, offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
    """See ports.recipe.Recipe.install."""
    (workspace / "source" / "debian").mkdir(parents=True)
    (workspace / "source" / "debian" / "control").write_text(_control(source), encoding="utf-8")
    (workspace / "package-names").write_text(" ".join(package_names(source)), encoding="utf-8")
    (workspace / "apt.conf").write_text(APT_CONF + (_NO_CACHE if offered else ""), encoding="utf-8")
    (workspace / "pin").write_text(PIN, encoding="utf-8")
    write_index(offered, workspace)
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


def _control(source: PackageSource) -> str:
    """Returns a debian/control with the relations alone: the fields that the key of the layer covers."""
    fields = dict(source.build_depends)
    fields["Build-Depends"] = ", ".join(filter(None, (fields.get("Build-Depends"), RECIPE_DEPENDS)))
    return "".join(f"{field}: {value}\n" for field, value in (("Source", source.name), *fields.items()))


def write_index(offered: Sequence[Path], workspace: Path) -> None:
    """Writes Packages of the files, and the file `names` with one `name architecture version` a line.

    The files are below `workspace`."""
    stanzas, names = [], []
    for path in offered:
        control = binary_package.read(path)
        package = binary_package.binary_package(control)
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        filename = str(path.relative_to(workspace))
        stanzas.append(binary_package.packages_entry(control, filename, path.stat().st_size, digest))
        names.append(f"{package.name} {package.architecture} {package.version}\n")
    (workspace / "Packages").write_text("\n".join(stanzas), encoding="utf-8")
    (workspace / "names").write_text("".join(names), encoding="utf-8")


def explain(source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
    """See ports.recipe.Recipe.explain_install."""
    fault = next((line for line in output if MIRROR_FAULT.search(line)), None)
    if fault:
        hint = "Check that the runner can reach the mirror that build_root.kiwi names."
        return Retryable(f"packages cannot be fetched: {fault.strip()}", code="mirror", hint=hint, delay=10.0)
    unmet = _unmet(output)
    if unmet:
        hint = (
            "Correct debian/control, add a unit that provides it, or add a repository that has it to build_root.kiwi."
        )
        return Permanent(unmet, code="build-dependency", hint=hint)
    cause = next((line for line in output if line.startswith(("E: ", "dpkg: error"))), "apt failed")
    hint = "Read apt's output in the log; `cb-ctl shell` opens the same build root."
    return Permanent(f"the build dependencies cannot be installed: {cause}", code="build-dependency", hint=hint)


def _unmet(output: Sequence[str]) -> str:
    """Returns the relations that apt could not satisfy, by reason, from its last report; empty: none."""
    found: dict[tuple[str, str], list[str]] = {}
    candidates = _candidates(output)
    report = max((number for number, line in enumerate(output) if line.startswith(_HEADING)), default=0)
    for line in output[report:]:
        match = _UNMET.match(line)
        if match is None and found:
            break
        if match is None or (match["next"] and not found):
            continue
        relation = _REASON.match(match["first"] or match["next"])
        if relation:
            field = "Build-Depends" if relation["kind"] == "Depends" else "Build-Conflicts"
            why = _why(relation["what"], relation["why"] or "", candidates)
            found.setdefault((field, why), []).append(relation["what"])
    return "; ".join(f"{field}: {', '.join(what)} cannot be satisfied: {why}" for (field, why), what in found.items())


def _candidates(output: Sequence[str]) -> dict[str, str]:
    """Returns the version of each package that apt would install, from the output of `apt-cache policy`."""
    found = {}
    for name, line in pairwise(line for line in output if not line.startswith("  Installed: ")):
        version = _CANDIDATE.match(line)
        if version and version["version"] != "(none)":
            found[name.rstrip(":")] = version["version"]
    return found


def _why(relation: str, reason: str, candidates: Mapping[str, str]) -> str:
    name = re.split(r"[ :]", relation)[0]
    if "not installable" in reason or ("|" not in relation and candidates and name not in candidates):
        return "neither the repositories of the build root nor the mesh have this package"
    if "(" in relation and name in candidates and "|" not in relation:
        return f"the available version is {candidates[name]}"
    return f"apt says: {reason}" if reason else "apt gives no reason"
