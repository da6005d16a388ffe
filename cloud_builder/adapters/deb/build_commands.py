"""Makes the commands that unpack a Debian source to its fixed path, build it there, or open a shell there.

The commands run in the sandbox, as an ordinary user without network. Everything that could leak into the packages is
fixed here: path, times, modes, umask, language, time zone.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from cloud_builder.ports.recipe import Action, PackageSource
from cloud_builder.ports.sandbox import Bind

from . import changelog_entry
from .source import DSC, ORIG, without_epoch

BUILD = PurePosixPath("/build")
SOURCE = "/source"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "SHELL": "/bin/sh",
}
"""The variables that sbuild sets, and no others: Sbuild/Build.pm. The time zone is UTC because a root has no other."""

_OPTIONS = frozenset({"nocheck", "nodoc"})
_PRELUDE = "set -euo pipefail; umask 022\n"
_PACK = """
pack() {  # makes the source package of a tree as it is; without a pristine tarball only the format 1.0 has all of it
    local format= options=(--format=1.0 -sn -Zgzip)
    [ ! -f "$1/debian/source/format" ] || read -r format < "$1/debian/source/format" || true
    if [ "$format" = '3.0 (native)' ] && [[ $2 != *-* ]]; then options=(--tar-ignore=.cb); fi
    dpkg-source "${options[@]}" -b "$1"
}
"""
"""Options: `--tar-ignore` replaces the default patterns, with which dpkg-source leaves out files like .gitignore."""
_TREE = (
    _PACK
    + """
tree=$1 epoch=$2 version=$3
mkdir "$tree"
tar -C /source --exclude=./.cb --exclude=./.git --sort=name --mtime="@$epoch" --mode=u+rwX,go+rX,go-w -cf - . |
    tar -C "$tree" -xf -
add_entry "$tree"
pack "$tree" "$version"
"""
)
_ORIG = """
tree=$1 epoch=$2 main=$3; shift 3
extract() {  # a tarball, to a directory: with or without a directory of its own inside
    mkdir "$2.unpacked"
    tar -C "$2.unpacked" --no-same-owner -xf "/source/$1"
    set -- "$2" "$2.unpacked"/*
    if [ $# -eq 2 ] && [ -d "$2" ] && [ ! -L "$2" ]; then mv -T "$2" "$1"; else mv -T "$1.unpacked" "$1"; fi
    rm -rf "$1.unpacked"
}
extract "$main" "$tree"
for file; do
    part=${file##*.orig-} part=${part%%.tar.*}
    rm -rf "${tree:?}/$part"
    extract "$file" "$tree/$part"
done
rm -rf "$tree/debian"
tar -C /source --sort=name --mtime="@$epoch" --mode=u+rwX,go+rX,go-w -cf - debian | tar -C "$tree" -xf -
add_entry "$tree"
stage=/build/.source-package
mkdir -p "$stage/tree"
cp -a "$tree/debian" "$stage/tree"
for file in "$main" "$@"; do ln -s "/source/$file" "$stage/$file"; done
options=()
if [ "$(dpkg-source --print-format "$tree" 2>/dev/null)" != 1.0 ]; then options=(--no-preparation --diff-ignore=.); fi
(cd "$stage"; dpkg-source "${options[@]}" -b tree)
find "$stage" -maxdepth 1 -type f -exec mv -t /build {} +  # the .dsc and what dpkg-source made of debian/
rm -rf "$stage"
"""
_DSC = """
tree=$1 dsc=$2
dpkg-source --no-copy -x "/source/$dsc" "$tree"
if [ -n "${REBUILD_VERSION-}" ]; then
    add_entry "$tree"
    for file in /source/*.orig*.tar.*; do [ ! -f "$file" ] || ln -s "$file" .; done
    dpkg-source --tar-ignore=.cb --diff-ignore=^$ -b "$tree"
    find . -maxdepth 1 -type l -delete
fi
"""
_ENTER = """
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -STimestamp)
"""
_BUILD = _ENTER + "exec dpkg-buildpackage -b -us -uc\n"
_SHELL = _ENTER + "export PS1='[\\u \\w]\\$ '; set +eu; exec bash --norc -i\n"


def tree_of(source: PackageSource) -> PurePosixPath:
    """Returns the directory in which a source is built: the same everywhere, because the path leaks into outputs."""
    return BUILD / f"{source.name}-{without_epoch(source.version)}"


def unpack(source: PackageSource) -> Action:
    tree = str(tree_of(source))
    script, arguments = _unpacking(source)
    return Action(
        command=("bash", "-c", _PRELUDE + changelog_entry.SCRIPT + script, "unpack", tree, *arguments),
        directory=str(BUILD),
        environment={**ENVIRONMENT, **changelog_entry.variables(source)},
        binds=(Bind(source.directory, SOURCE),),
    )


def _unpacking(source: PackageSource) -> tuple[str, tuple[str, ...]]:
    if source.form == DSC:
        return _DSC, source.files[:1]
    if source.form == ORIG:
        return _ORIG, (str(source.epoch), *source.files)
    return _TREE, (str(source.epoch), source.version)


def build(source: PackageSource, cores: int) -> Action:
    return Action(
        command=("bash", "-c", _PRELUDE + _BUILD, "build"),
        directory=str(tree_of(source)),
        environment={**ENVIRONMENT, **_options(source, cores)},
    )


def _options(source: PackageSource, cores: int) -> dict[str, str]:
    """Returns the variables for build options and profiles.

    Some build profiles are build options too (https://wiki.debian.org/BuildProfileSpec, registered profiles), as with
    `sbuild --profiles=nocheck`. An option `parallel=n` of the source replaces the runner's number of cores.
    """
    options = [*source.build_options, *(profile for profile in source.profiles if profile in _OPTIONS)]
    if not any(option.partition("=")[0] == "parallel" for option in options):
        options.insert(0, f"parallel={cores}")
    return {"DEB_BUILD_OPTIONS": " ".join(dict.fromkeys(options)), **profiles_of(source)}


def profiles_of(source: PackageSource) -> dict[str, str]:
    """Returns the variable from which dpkg and apt read build profiles."""
    return {"DEB_BUILD_PROFILES": " ".join(source.profiles)} if source.profiles else {}


def shell(source: PackageSource, cores: int) -> Action:
    return Action(
        command=("bash", "-c", _PRELUDE + _SHELL, "shell"),
        directory=str(tree_of(source)),
        environment={**ENVIRONMENT, **_options(source, cores), "TERM": "xterm"},
    )
