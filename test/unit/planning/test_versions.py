"""Tests of published versions: when a build is published, built again with a rebuild number, or refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.ids import UnitPath
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.planning.publish.versions import (
    PublishedVersion,
    PublishedVersions,
    ReservedNumber,
    VersionLookups,
    VersionVerdict,
    add_version,
    built_from,
    check,
    is_lower,
    next_number,
)
from support.factories import deb

UNIT = UnitPath("p/u")


class Repository:
    """The publications for one target. `publish` stores a build, `verdict` checks one."""

    def __init__(self) -> None:
        self.packages: dict[str, PublishedVersions] = {}
        self.reserved = ReservedNumber()

    def find(self, name: str) -> PublishedVersions:
        return self.packages.get(name, PublishedVersions())

    def publish(self, built: Rebuild, *artifacts, unit: UnitPath = UNIT) -> None:
        for artifact in artifacts:
            about = {"version": artifact.package.version, "architecture": artifact.package.architecture}
            entry = PublishedVersion(**about, sha256=artifact.sha256, unit=unit, rebuild=built)
            self.packages[artifact.package.name] = add_version(self.find(artifact.package.name), entry)

    def verdict(self, built: Rebuild, *artifacts, unit: UnitPath = UNIT, sequence: int = 1) -> VersionVerdict:
        return check(artifacts, built, unit, sequence, VersionLookups(self.find, self.reserved))


def rebuild(number: int = 0, version: str = "1.0") -> Rebuild:
    return Rebuild(version=version, number=number)


def build(content: str, number: int = 0, version: str = "1.0", name: str = "u", arch: str = "amd64"):
    return deb(name, rebuild(number, version).built_version, arch, content=content)


def published(*contents: str) -> Repository:
    """Returns a repository with version 1.0, rebuilt once for each content after the first."""
    repository = Repository()
    for number, content in enumerate(contents):
        repository.publish(rebuild(number), build(content, number))
    return repository


@pytest.mark.parametrize(
    ("before", "number", "content", "expected"),
    [
        ((), 0, "a", None),
        (("a",), 0, "a", None),
        (("a",), 0, "b", 1),
        (("a", "b"), 1, "b", None),
        (("a", "b"), 1, "c", 2),
        (("a", "b"), 0, "a", 1),
        (("a", "b"), 0, "c", 1),
        (("a", "b"), 2, "c", None),
    ],
    ids=["first", "equal", "other", "equal-rebuild", "other-rebuild", "content-goes-back", "number-unknown", "next"],
)
def test_build_is_published_or_built_with_the_next_number(before, number, content, expected):
    verdict = published(*before).verdict(rebuild(number), build(content, number))
    assert verdict == VersionVerdict(rebuild(expected) if expected is not None else None)


def test_next_version_of_the_maintainer_is_published_without_a_suffix():
    assert published("a", "b").verdict(rebuild(0, "1.1"), build("c", 0, "1.1")) == VersionVerdict()


def test_one_changed_package_gives_all_of_the_source_the_next_number():
    repository = Repository()
    repository.publish(rebuild(), build("a"), build("a", name="u-doc", arch="all"))
    verdict = repository.verdict(rebuild(), build("a"), build("b", name="u-doc", arch="all"))
    assert verdict.rebuild == rebuild(1)


def test_new_package_of_a_published_version_is_published():
    assert published("a").verdict(rebuild(), build("a"), build("x", name="u-extra")) == VersionVerdict()


def test_package_with_a_version_of_its_own_is_a_conflict_after_the_rebuild():
    repository = Repository()
    repository.publish(rebuild(), build("a"), deb("u-data", "7", content="a"))
    assert repository.verdict(rebuild(), build("b"), deb("u-data", "7", content="b")).rebuild == rebuild(1)
    verdict = repository.verdict(rebuild(1), build("b", 1), deb("u-data", "7", content="b"))
    assert verdict.rebuild is None
    assert verdict.conflict == (
        "u-data 7 (amd64) is published with other contents, and has the same version when the source is built as"
        " 1.0+cb1"
    )


def test_architectures_have_versions_of_their_own():
    assert published("a").verdict(rebuild(), build("b", arch="i386")) == VersionVerdict()


def test_moved_unit_goes_on_with_the_number_of_its_packages():
    repository = published("a", "b")
    moved = UnitPath("p/moved")
    assert repository.verdict(rebuild(), build("b"), unit=moved).rebuild == rebuild(1)
    assert repository.verdict(rebuild(1), build("b", 1), unit=moved) == VersionVerdict()
    assert repository.verdict(rebuild(1), build("c", 1), unit=moved).rebuild == rebuild(2)


def test_unit_whose_package_another_unit_makes_too_is_not_built_for_ever():
    repository = published("a")
    repository.publish(rebuild(1), build("b", 1), unit=UnitPath("p/other"))
    assert repository.verdict(rebuild(), build("a")) == VersionVerdict()
    assert repository.verdict(rebuild(1), build("b", 1), unit=UnitPath("p/other")) == VersionVerdict()


def test_source_version_keeps_the_suffix_that_it_began_with():
    repository = Repository()
    first = Rebuild(version="1.0", number=1, suffix="+a{n}")
    repository.publish(first, deb("u", "1.0+a1", content="a"))
    asked = Rebuild(version="1.0", number=1, suffix="+cb{n}")
    verdict = repository.verdict(asked, deb("u", "1.0+a1", content="b"))
    assert verdict.rebuild == Rebuild(version="1.0", number=2, suffix="+a{n}")


@pytest.mark.parametrize(
    ("reserved", "highest", "sequence", "number"),
    [
        (ReservedNumber(), 0, 5, 1),
        (ReservedNumber(version="0.9", number=7, sequence=5), 0, 5, 1),
        (ReservedNumber(version="1.0", number=1, sequence=4), 0, 5, 2),
        (ReservedNumber(version="1.0", number=2, sequence=5), 0, 5, 2),
        (ReservedNumber(version="1.0", number=2, sequence=5), 1, 5, 2),
        (ReservedNumber(version="1.0", number=2, sequence=5), 2, 5, 3),
    ],
    ids=["first", "other-version", "after-other-target", "of-the-request", "of-the-request-higher", "used-up"],
)
def test_targets_of_one_request_share_a_number(reserved, highest, sequence, number):
    assert next_number("1.0", highest, reserved, sequence) == number


@pytest.mark.parametrize(
    ("version", "asked", "expected"),
    [
        ("1.0", None, rebuild()),
        ("1.0+cb2", rebuild(2), rebuild(2)),
        ("1.0", rebuild(2), rebuild(2)),
        ("1.1", rebuild(2), rebuild(0, "1.1")),
    ],
    ids=["as-it-is", "asked", "asked-but-not-done", "other-version"],
)
def test_rebuild_of_a_build_follows_from_its_version(version, asked, expected):
    assert built_from(version, asked, expected.suffix) == expected


@pytest.mark.parametrize(
    ("version", "before", "expected"),
    [("1.0", "1.1", True), ("1.0+cb1", "1.0", False), ("1.0~rc1", "1.0", True), ("1:1", "2", False), ("", "1", False)],
)
def test_version_that_goes_down(version, before, expected):
    assert is_lower(version, before) is expected


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_version_never_gets_other_contents_and_never_goes_down(contents):
    """Publishes each content as the scheduler does: first with the published number, then as the verdict says."""
    repository, seen, current = Repository(), {}, rebuild()
    for sequence, content in enumerate(contents):
        while (
            again := repository.verdict(current, build(content, current.number), sequence=sequence).rebuild
        ) is not None:
            assert again.number > current.number
            current = again
        artifact = build(content, current.number)
        assert seen.setdefault(artifact.package.version, artifact.sha256) == artifact.sha256
        repository.publish(current, artifact)
    changes = sum(before != after for before, after in itertools.pairwise(contents))
    assert current.number == changes
