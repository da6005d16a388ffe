"""A chain of libraries under random pushes, failures and late results, published by the rule of transitions.

Each published state is checked: every relation of every package is met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import JobId, RepositoryName, UnitPath
from cloud_builder.model.repository import ListedPackage, RepositoryEntry, UnitTarget
from cloud_builder.planning.publish.choice import choices
from cloud_builder.planning.publish.contents import RepositoryContents, is_newer
from cloud_builder.planning.publish.package_set import PackageSet, meets, relations
from cloud_builder.planning.publish.transition import Transition, transition
from cloud_builder.planning.publish.transition_draft import BuildKey, Reason
from support.factories import deb

REPOSITORY = RepositoryName("demo-bookworm")
UNITS = 6
"""Five libraries, each built with the one before, and an application on top."""


def make_package(name: str, version: str, content: str, depends: str) -> Artifact:
    return deb(name, version, content=content, depends=depends)


MakePackage = Callable[[str, str, str, str], Artifact]


@dataclass
class Recipe:
    """A unit in git. Its library has the name `lib<number>-<soname>`."""

    version: int = 1
    soname: int = 1
    is_strict: bool = False
    """Its dependants need exactly the version that they were built with."""
    path: str = ""


@dataclass
class Request:
    """A push: the units to build one after the other, as they were in git, with the results so far."""

    sequence: int
    recipes: list[Recipe]
    todo: list[int]
    results: dict[int, Artifact] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)


class Distribution:
    """A source with its repository. Builds end at random, in the order that each request has, with random failures.

    `make(name, version, content, depends)` returns a package."""

    def __init__(self, seed: int, make: MakePackage = make_package, failures: float = 0.25) -> None:
        self.random, self.failures, self.make = Random(seed), failures, make
        self.recipes = [Recipe(path=f"libs/lib{number}", is_strict=number % 2 == 1) for number in range(UNITS)]
        self.contents: dict[UnitTarget, RepositoryEntry] = {}
        self.published = PackageSet()
        self.newest: dict[int, tuple[Recipe, Artifact]] = {}
        self.made: set[str] = set()
        self.requests: list[Request] = []
        self.decision = Transition({})
        self.held = self.kept = 0
        self.sequence = 0

    def run(self, pushes: int) -> None:
        """Builds everything once without failures, then pushes and ends builds at random, until no request is open."""
        failures, self.failures = self.failures, 0.0
        self.build_all()
        self.failures = failures
        for _ in range(pushes):
            self.push()
            for _ in range(self.random.randrange(2 * UNITS)):
                if self.requests:
                    self.step()
        self.finish()

    def build_all(self) -> None:
        """Pushes a change of the lowest library, and ends all builds."""
        self.push(change=0)
        self.finish()

    def finish(self) -> None:
        while self.requests:
            self.step()

    def push(self, *, change: int | None = None) -> None:
        number = self.random.randrange(UNITS) if change is None else change
        recipe = self.recipes[number]
        path = f"moved/{self.sequence}/lib{number}" if self.random.random() < 0.1 else recipe.path
        soname = recipe.soname + (self.random.random() < 0.3)
        self.recipes[number] = Recipe(recipe.version + 1, soname, recipe.is_strict, path)
        self.sequence += 1
        self.requests.append(Request(self.sequence, list(self.recipes), list(range(number, UNITS))))
        self.drop_deleted()

    def step(self) -> None:
        """Ends one build of one open request."""
        request = self.random.choice(self.requests)
        number = request.todo.pop(0)
        if not request.todo:
            self.requests.remove(request)
        if request.failed or self.random.random() < self.failures:
            request.failed.add(number)
            return
        self.add_result(request, number)

    def add_result(self, request: Request, number: int) -> None:
        recipe = request.recipes[number]
        built_with = request.results.get(number - 1) or (self.newest[number - 1][1] if number else None)
        packages = self._build(number, request, built_with)
        request.results[number] = packages[0]
        entry = self._entry(recipe.path, request.sequence, packages)
        if recipe.path == self.recipes[number].path and is_newer(entry, self.contents.get(entry.unit_target)):
            self.newest[number] = recipe, packages[0]
            self.contents[entry.unit_target] = entry
        self.made |= {artifact.package.name for artifact in packages if artifact.package}
        self.publish()

    def drop_deleted(self) -> None:
        paths = {recipe.path for recipe in self.recipes}
        self.contents = {key: entry for key, entry in self.contents.items() if key[0] in paths}
        self.publish()

    def publish(self) -> None:
        newest = {(REPOSITORY, name): package for name, package in newest_packages(self.contents).items()}
        keys = {*newest, *self.published}
        changes = {key: newest.get(key) for key in keys if newest.get(key) != self.published.get(key)}
        awaited = {key: _MOVED for key, new in changes.items() if new is None and self._is_promised(key[1])}
        self.decision = transition(
            self.published, changes, awaited=awaited, was_made=self.made.__contains__, is_behind=self._is_behind
        )
        self.published.apply(self.decision.changes)
        self.held += len(self.decision.held)
        self.kept += len(self.decision.kept)
        self.check()

    def check(self) -> None:
        """Every relation of every published package is met: all names in this distribution are those of its units."""
        for key in self.published:
            package = self.published.get(key)
            assert package is not None
            for (alternative,) in relations(package.package):
                offering = (self.published.get(other) for other in self.published.offering(alternative.name))
                assert any(other and meets(other, alternative) for other in offering), f"{package} needs {alternative}"

    def _build(self, number: int, request: Request, built_with: Artifact | None) -> tuple[Artifact, ...]:
        """Returns the packages of a unit: the library, and its headers, which need exactly this library."""
        recipe, below = request.recipes[number], request.recipes[number - 1]
        library, headers = _names(number, recipe)
        depends, content = "", ""
        if built_with is not None and built_with.package is not None:
            package, content = built_with.package, built_with.sha256
            depends = f"{package.name} ({'=' if below.is_strict else '>='} {package.version})"
        version = f"{recipe.version}+r{request.sequence}"
        return (
            self.make(library, version, content, depends),
            self.make(headers, version, content, f"{library} (= {version})"),
        )

    def _is_promised(self, name: str) -> bool:
        """True when a unit that has moved has not made the package at its new place yet."""
        numbers = [number for number, recipe in enumerate(self.recipes) if name in _names(number, recipe)]
        return any((UnitPath(self.recipes[number].path), "bookworm.x86_64") not in self.contents for number in numbers)

    def _is_behind(self, build: BuildKey) -> bool:
        return any(build[1][0] == self.recipes[number].path and recipe is not self.recipes[number]
                   for number, (recipe, _) in self.newest.items())  # fmt: skip

    def _entry(self, path: str, sequence: int, packages: tuple[Artifact, ...]) -> RepositoryEntry:
        return RepositoryEntry(
            unit=UnitPath(path),
            target="bookworm.x86_64",
            arch="x86_64",
            sequence=sequence,
            job_id=JobId(f"r{sequence}.{path}"),
            packages=packages,
        )


_MOVED = Reason("its unit has moved")


def _names(number: int, recipe: Recipe) -> tuple[str, str]:
    return f"lib{number}-{recipe.soname}", f"lib{number}-dev"


def newest_packages(contents: RepositoryContents) -> dict[str, ListedPackage]:
    return choices(contents.values()).get("amd64", {})
