"""Which artifacts of ours a build gets: what its relations name, and what that depends on, by the rule of relations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from cloud_builder.model.artifact import Artifact
from cloud_builder.planning.relations import Alternative, cached_groups, versions_provided

Find = Callable[[Alternative], Artifact | None]
"""The artifact of ours that is meant by an alternative, if there is one."""


def find_in(artifacts: Iterable[Artifact]) -> Find:
    """Finds in these, of several the last. A real package is meant before one that provides the name."""
    real: dict[str, list[Artifact]] = defaultdict(list)
    virtual: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        if (package := artifact.package) is not None:
            real[package.name].append(artifact)
            for name in versions_provided(package.provides) if package.provides else ():
                virtual[name].append(artifact)

    def find(alternative: Alternative) -> Artifact | None:
        known = (*virtual.get(alternative.name, ()), *real.get(alternative.name, ()))
        return next((each for each in reversed(known) if alternative.is_met_by(each)), None)

    return find


def closure(relations: str, machine: str, find: Find, *, profiles: tuple[str, ...] = ()) -> tuple[Artifact, ...]:
    """The artifacts of ours that a build with these relations may use: those it names, and what they depend on.

    Of alternatives the first that we have is given, as the order of the jobs was planned with it. Sorted by name and
    digest."""
    chosen: dict[str, Artifact] = {}
    todo = [(relations, profiles)]
    while todo:
        field, active = todo.pop()
        for group in cached_groups(field, machine, active):
            artifact = next((found for each in group if (found := find(each)) is not None), None)
            if artifact is not None and artifact.sha256 not in chosen:
                chosen[artifact.sha256] = artifact
                assert artifact.package is not None
                todo.append((artifact.package.depends, ()))
    return tuple(sorted(chosen.values(), key=lambda a: (a.name, a.sha256)))
