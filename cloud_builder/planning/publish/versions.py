"""Keeps published bytes constant: one name, version and architecture never gets other contents.

    packages of a build ─┐
    published versions ──┼─ check ─► publish | build again with a rebuild number | conflict
    reserved number ─────┘

A package is first built as it is published, with the rebuild number that it has. Equal packages need nothing. Other
packages are built again with the next number, so that package managers take them for newer. One number counts for all
packages of a unit and source version, and for all targets of a distribution that one request builds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from debian.debian_support import NativeVersion

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import Digest, Revision, UnitPath
from cloud_builder.model.rebuild import Rebuild

MAX_VERSIONS = 100
"""Published versions that are kept of a package; the oldest are dropped."""
CONFLICT = "published-version"
"""Code of a failure: a package has other contents than the published one, and a version that no rebuild changes."""


class PublishedVersion(LenientModel):
    """A version of a binary package that was published for a target."""

    version: str
    architecture: str
    sha256: Digest
    unit: UnitPath
    rebuild: Rebuild
    """The source version and rebuild number that it was built from."""


class PublishedVersions(LenientModel):
    """The published versions of a binary package for a target, the newest last.

    Of one unit and source version only the highest rebuild number is kept: no lower one is built any more."""

    versions: tuple[PublishedVersion, ...] = ()


class PublishedUnit(LenientModel):
    """The newest published build of a unit for a target."""

    rebuild: Rebuild
    revision: Revision
    sequence: int


class ReservedNumber(LenientModel):
    """The last rebuild number that a unit got in a distribution. `sequence`: of the request that it was given to."""

    version: str = ""
    number: int = 0
    sequence: int = 0


@dataclass(frozen=True)
class VersionVerdict:
    """The consequence for a build. Neither field is set: it can be published."""

    rebuild: Rebuild | None = None
    """Build it again with this number."""
    conflict: str = ""
    """Why it can never be published."""


Find = Callable[[str], PublishedVersions]
"""Name of a binary package → its published versions for the target."""


@dataclass(frozen=True)
class VersionLookups:
    """Lookups of earlier publications. `reserved`: the last number of the unit in the distribution."""

    find: Find
    reserved: ReservedNumber


def check(
    packages: Sequence[Artifact], built: Rebuild, unit: UnitPath, sequence: int, lookups: VersionLookups
) -> VersionVerdict:
    """Returns what follows for the binary packages of a build of the unit. `built`: the version that was built;
    `sequence`: of the request."""
    find = lookups.find
    published = [entry for artifact in packages for entry in _versions(artifact, find)]
    of_version = [entry for entry in published if entry.rebuild.version == built.version]
    highest = max((entry.rebuild.number for entry in of_version), default=0)
    of_unit = max((entry.rebuild.number for entry in of_version if entry.unit == unit), default=0)
    conflict = next((artifact for artifact in packages if _conflicts(artifact, find)), None)
    if conflict is None and built.number >= highest:
        return VersionVerdict()
    if built.number >= of_unit and all(_is_published(artifact, find) for artifact in packages):
        return VersionVerdict()
    if conflict is not None and built.number > highest:
        return VersionVerdict(conflict=_message(conflict, built))
    number = highest if built.number < highest else next_number(built.version, highest, lookups.reserved, sequence)
    return VersionVerdict(_with_number(built, number, of_version))


def next_number(version: str, highest: int, reserved: ReservedNumber, sequence: int) -> int:
    """Returns the rebuild number after `highest`; that of the request's other targets if it is as high."""
    if reserved.version != version:
        return highest + 1
    is_of_request = reserved.sequence == sequence
    return reserved.number if is_of_request and reserved.number > highest else max(highest, reserved.number) + 1


def add_version(before: PublishedVersions, entry: PublishedVersion) -> PublishedVersions:
    """Returns the published versions of a package after a publication."""
    key = _entry_key(entry)
    others = [other for other in before.versions if _entry_key(other) != key]
    return PublishedVersions(versions=(*others, entry)[-MAX_VERSIONS:])


def built_from(version: str, asked: Rebuild | None, suffix: str) -> Rebuild:
    """Returns what a build was a rebuild of. `version`: of the source, as built; `asked`: of the assignment.

    A build without the suffix that it was asked for counts as built with it: asking again would change nothing."""
    if asked is not None and asked.number and version in (asked.built_version, asked.version):
        return asked
    return Rebuild(version=version, suffix=suffix)


def is_lower(version: str, published: str) -> bool:
    """True when dpkg takes `version` for older than `published`; False when one of them is malformed."""
    try:
        return bool(NativeVersion(version) < NativeVersion(published))
    except ValueError:
        return False


def _versions(artifact: Artifact, find: Find) -> tuple[PublishedVersion, ...]:
    assert artifact.package is not None
    return find(artifact.package.name).versions


def _conflicts(artifact: Artifact, find: Find) -> bool:
    """True when the version of the package is published with other contents."""
    entries = _versions(artifact, find)
    return any(_is_same_version(entry, artifact) and entry.sha256 != artifact.sha256 for entry in entries)


def _is_published(artifact: Artifact, find: Find) -> bool:
    entries = _versions(artifact, find)
    return any(_is_same_version(entry, artifact) and entry.sha256 == artifact.sha256 for entry in entries)


def _is_same_version(entry: PublishedVersion, artifact: Artifact) -> bool:
    package = artifact.package
    return package is not None and (entry.version, entry.architecture) == (package.version, package.architecture)


def _with_number(built: Rebuild, number: int, published: Iterable[PublishedVersion]) -> Rebuild:
    """Returns the rebuild with that number. A source version keeps the suffix that it began with: the versions of two
    suffixes have no order."""
    suffix = next((entry.rebuild.suffix for entry in published if entry.rebuild.number), built.suffix)
    return built.model_copy(update={"number": number, "suffix": suffix})


def _entry_key(entry: PublishedVersion) -> tuple[str, str, str]:
    return entry.unit, entry.architecture, entry.rebuild.version


def _message(artifact: Artifact, built: Rebuild) -> str:
    package = artifact.package
    assert package is not None
    return (
        f"{package.name} {package.version} ({package.architecture}) is published with other contents, and has the same"
        f" version when the source is built as {built.built_version}"
    )
