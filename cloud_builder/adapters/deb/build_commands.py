"""Makes the commands that unpack a Debian source to its fixed path, build it there, or open a shell there.

The commands run in the sandbox, as an ordinary user without network. dpkg-source unpacks: a source with pristine
tarballs becomes a source package first, so that it is what Debian's builders get. Everything that could leak into the
packages is fixed here: path, times, modes, umask, language, time zone.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from cloud_builder.ports.recipe import Action, PackageSource
from cloud_builder.ports.sandbox import Bind

from . import changelog_entry
from .source_form import Form, without_epoch

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
_COPY = """
copy() {  # to a directory, what follows of the source: nothing that git or the umask of a working tree decides
    mkdir "$1"
    tar -C /source --sort=name --mtime="@$epoch" --mode=u+rwX,go+rX,go-w -cf - "${@:2}" | tar -C "$1" -xf -
}
"""
_TREE = (
    _PACK
    + _COPY
    + """
tree=$1 epoch=$2 version=$3
copy "$tree" --exclude=./.cb --exclude=./.git .
add_entry "$tree"
pack "$tree" "$version"
cd "$tree"
dpkg-source --before-build .
series=
if [ "$(dpkg-source --print-format . 2>/dev/null)" = '3.0 (quilt)' ]; then
    series=$(perl -MDpkg::Source::Quilt -e 'print map { "$_\\n" } reverse Dpkg::Source::Quilt->new(".")->series()')
fi
if [ -n "$series" ] && ! [ -s .pc/applied-patches ]; then  # dpkg took a first patch that it cannot apply for applied
    cp -a . "$tree.patched"
    while read -r patch; do
        patch -d "$tree.patched" -R -p1 -F0 -s -f -V never -r - < "debian/patches/$patch" || {
            patch=debian/patches/${series##*$'\\n'}
            echo "dpkg-source: error: $patch does not apply, nor is the tree patched already" >&2
            exit 1
        }
    done <<< "$series"
    rm -rf "$tree.patched"
fi
"""
)
"""A tree needs no tarball to be built, but dpkg then only tries whether the first patch applies (`--before-build`)."""
_SOURCE_PACKAGE = (
    _COPY
    + """
tree=$1 epoch=$2 alone=$3; shift 3
stage=/build/.source-package
mkdir "$stage"
options=()
if [ "$alone" = debian ]; then
    copy "$stage/tree" debian
    add_entry "$stage/tree"
    # Upstream's files are not there: no patch is tried on them, and their absence is no change.
    [ "$(dpkg-source --print-format "$stage/tree" 2>/dev/null)" = 1.0 ] || options=(--no-preparation --diff-ignore=.)
else
    excluded=()
    for file; do excluded+=("--exclude=./$file" "--exclude=./$file.asc"); done
    copy "$stage/tree" --exclude=./.cb --exclude=./.git "${excluded[@]}" .
    add_entry "$stage/tree"
fi
for file; do ln -s "/source/$file" "$stage/$file"; done
cd "$stage"
dpkg-source "${options[@]}" -b tree 2>&1 | { grep -v '^dpkg-source: warning: ignoring deletion of ' || true; }
dpkg-source --no-copy -x ./*.dsc "$tree"
cd /build
find "$stage" -maxdepth 1 -type f -exec mv -t /build {} +  # the .dsc and what dpkg-source made of debian/
rm -rf "$stage"
"""
)
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
    epoch = str(source.epoch)
    match Form(source.form):
        case Form.DSC:
            return _DSC, source.files[:1]
        case Form.ORIG:
            return _SOURCE_PACKAGE, (epoch, "debian", *source.files)
        case Form.TREE_WITH_ORIG:
            return _SOURCE_PACKAGE, (epoch, "tree", *source.files)
        case Form.TREE:
            return _TREE, (epoch, source.version)


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
