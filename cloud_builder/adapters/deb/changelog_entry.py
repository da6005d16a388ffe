"""Adds an entry to debian/changelog when a source is built again under the next version, by a function of the shell.

The entry depends on the source and the rebuild number alone: it has the distribution and the maintainer of the last
entry, and its date plus one second for each number. So the build is reproducible, the changelogs of all architectures
are equal, and a file with other contents has another time. dpkg reads the last entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from cloud_builder.ports.recipe import PackageSource

SCRIPT = """
add_entry() {  # to debian/changelog in a tree, if the source is built again
    [ -n "${REBUILD_VERSION-}" ] || return 0
    local file="$1/debian/changelog" last date
    last=$(dpkg-parsechangelog -l "$file")
    field() { sed -n "s/^$1: //p" <<< "$last" | head -n 1; }
    date=$(date -u -R -d "@$(($(field Timestamp) + REBUILD_NUMBER))")
    {
        printf '%s (%s) %s; urgency=low\\n\\n' "$(field Source)" "$REBUILD_VERSION" "$(field Distribution)"
        printf '  * Rebuild: the contents of the packages have changed.\\n\\n'
        printf ' -- %s  %s\\n\\n' "$(field Maintainer)" "$date"
        cat "$file"
    } > "$file.rebuild"
    chmod --reference="$file" "$file.rebuild"
    touch -d "$date" "$file.rebuild"
    mv -f "$file.rebuild" "$file"
}
"""
"""Defines `add_entry DIRECTORY`; `variables` are its input."""


def variables(source: PackageSource) -> Mapping[str, str]:
    """Returns the environment variables of `add_entry`; none if the source is built as its changelog says."""
    if source.rebuild is None or source.built_version == source.version:
        return {}
    return {"REBUILD_VERSION": source.built_version, "REBUILD_NUMBER": str(source.rebuild.number)}
