"""Decides which changes of the published packages take place now, so that each snapshot can be installed as a whole.

*Input:* the published packages of a suite and architecture, and the changes that the newest builds ask for.
*Output:* the changes to carry out; the builds that are held, and the packages that are kept, each with the reason.

- A relation that a published package meets stays met by one. Names that no unit ever made are the distribution's, and
  never hold a build.
- A new package is published with the packages that its relations need. It waits for those that are held.
- The packages of a unit are published together, or held together.
- A package that no unit makes any longer leaves when no published package needs it.
- A package that newly excludes a published one (Conflicts, Breaks) waits for the newer build of that one, if its unit
  has one to come. If it has none, the exclusion is meant.

The decision starts with all changes and withdraws those that break a relation, until none is broken. It ends at the
latest when nothing changes. Only packages that have changed, or whose relations mention a name that has, are examined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from cloud_builder.model.ids import RepositoryName

from .package_set import Changes, PackageKey, PackageSet
from .transition_draft import BuildKey, Reason, TransitionDraft, TransitionRules


@dataclass(frozen=True)
class Transition:
    """The decision.

    changes   to carry out now; the others stay as they are
    held      the units and targets whose newest packages are not published yet
    kept      packages that no unit makes any longer, and stay
    """

    changes: Changes
    held: Mapping[BuildKey, Reason] = field(default_factory=dict)
    kept: Mapping[PackageKey, Reason] = field(default_factory=dict)


def transition(
    published: PackageSet,
    requested: Changes,
    *,
    held: Mapping[BuildKey, Reason] | None = None,
    awaited: Mapping[PackageKey, Reason] | None = None,
    was_made: Callable[[str], bool] = lambda name: False,
    is_behind: Callable[[BuildKey], bool] = lambda unit: False,
    at_once: Collection[RepositoryName] = (),
) -> Transition:
    """Returns the changes that take place now.

    `requested`: the changes after which the set has the packages of the newest builds.
    `held`: builds that are held for another architecture.
    `awaited`: packages that would leave, but stay until another unit has made them.
    `was_made(name)`: a unit has made or provided the name, now or earlier.
    `is_behind(build)`: the unit has changed in git since its newest build.
    `at_once`: repositories whose changes all take place, also when they break relations.
    """
    awaited = awaited or {}
    changes = {key: package for key, package in requested.items() if package is not None or key not in awaited}
    held = held or {}
    while True:
        draft = TransitionDraft(published, changes, held, TransitionRules(was_made, is_behind, at_once))
        draft.resolve()
        if draft.held.keys() == held.keys():
            return Transition(draft.after.changes, draft.held, {**awaited, **draft.kept})
        held = draft.held
