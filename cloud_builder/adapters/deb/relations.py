"""Finds the package names in relation fields. Pure; syntax: Debian policy 7.1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from cloud_builder.model.artifact import Artifact, BinaryPackage
from cloud_builder.planning.relations import versions_provided
from cloud_builder.ports.recipe import PackageSource

_FIRST = re.compile(r"\s*(?P<name>[a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?\s*(?:\([^()]*\))?\s*(?P<restrictions>[^|]*)$")
_NAME = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)")


def names(value: str) -> list[str]:
    """Returns every package that a relation field names, with the alternatives."""
    return _NAME.findall(value)


def package_names(source: PackageSource) -> list[str]:
    """Returns every package that the relations of the source name, once each, sorted."""
    return sorted({name for _, value in source.build_depends for name in names(value)})


def with_providers(relations: str, offered: Sequence[BinaryPackage]) -> str:
    """Returns the relations, and with each that an offered package only provides, that package.

    apt prefers a package of that name, which the distribution may have; the unit that provides it is meant. Only the
    first alternative counts: the package manager chooses among several."""
    real = {package.name for package in offered}
    extra = []
    for relation in relations.split(","):
        first = _FIRST.match(relation.partition("|")[0])
        if first is None or first["name"] in real:
            continue
        provider = next((each.name for each in offered if first["name"] in versions_provided(each.provides)), None)
        if provider is not None:
            extra.append(f"{provider} {first['restrictions']}".strip())
    return ", ".join(filter(None, [relations, *dict.fromkeys(extra)]))


def without_local_packages(source: PackageSource, offered: Sequence[Artifact]) -> PackageSource:
    """See ports.recipe.Recipe.without_local_packages. Conflicts concern the whole set, so they are left out."""
    local = {name for artifact in offered if artifact.package for name in names(artifact.package.provides)}
    local |= {artifact.package.name for artifact in offered if artifact.package}
    fields = []
    for field, value in source.build_depends:
        kept = [relation for relation in value.split(",") if local.isdisjoint(names(relation))]
        if kept and not field.startswith("Build-Conflicts"):
            fields.append((field, ",".join(kept).strip()))
    return replace(source, build_depends=tuple(fields))
