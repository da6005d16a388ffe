"""The closure of a build: the built artifacts that its relations name, and the artifacts that these depend on.

See `planning/relations.py` for the rule by which an artifact meets a relation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from cloud_builder.model.artifact import Artifact
from cloud_builder.planning.relations import Alternative, cached_groups, versions_provided

Find = Callable[[Alternative], Artifact | None]
"""Alternative → the built artifact that meets it; None: there is none, the package comes from the distribution."""


def find_in(artifacts: Iterable[Artifact]) -> Find:
    """Returns a lookup in these artifacts.

    A package of that name is preferred to one that provides it. Of several packages the last one is taken."""
    real: dict[str, list[Artifact]] = defaultdict(list)
    virtual: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        if (package := artifact.package) is not None:
            real[package.name].append(artifact)
            for name in versions_provided(package.provides) if package.provides else ():
                virtual[name].append(artifact)

    def find(alternative: Alternative) -> Artifact | None:
        candidates = (*virtual.get(alternative.name, ()), *real.get(alternative.name, ()))
        return next((artifact for artifact in reversed(candidates) if alternative.is_met_by(artifact)), None)

    return find


def closure(
    relations: str, machine: str, find: Find, *, profiles: tuple[str, ...] = (), find_unplanned: Find | None = None
) -> tuple[Artifact, ...]:
    """Returns the built artifacts that a build with these relations gets, sorted by name and digest.

    The first alternative with an artifact is taken, because the order of the jobs was planned with it.
    `find_unplanned`: for the first alternative of what a package depends on, when `find` has no artifact. A dependency
    that only the build of the package determined is not planned with."""
    chosen: dict[str, Artifact] = {}
    todo: list[tuple[str, tuple[str, ...], Find | None]] = [(relations, profiles, None)]
    while todo:
        field, active, fallback = todo.pop()
        for group in cached_groups(field, machine, active):
            artifact = next((match for alternative in group if (match := find(alternative)) is not None), None)
            if artifact is None and fallback is not None:
                artifact = fallback(group[0])
            if artifact is not None and artifact.sha256 not in chosen:
                chosen[artifact.sha256] = artifact
                assert artifact.package is not None
                todo.append((artifact.package.depends, (), find_unplanned))
    return tuple(sorted(chosen.values(), key=lambda artifact: (artifact.name, artifact.sha256)))
