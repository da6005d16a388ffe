"""What a repository holds after verdicts, in whatever order they come, and what its indices say."""

from __future__ import annotations

import hashlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import JobId, RepositoryName, UnitPath
from cloud_builder.model.repository import RepositoryEntry, UnitTarget
from cloud_builder.planning.publish import apt_index
from cloud_builder.planning.publish.contents import RepositoryContents, apply_results, is_same, listing
from support.factories import deb

NAME = RepositoryName("demo-bookworm")


def holding(unit: str, sequence: int, *packages: Artifact, arch: str = "x86_64", job: str = "") -> RepositoryEntry:
    return RepositoryEntry(
        unit=UnitPath(unit),
        target=f"bookworm.{arch}",
        arch=arch,
        sequence=sequence,
        job_id=JobId(job or f"r{sequence}.1"),
        packages=packages,
    )


def listed(contents: RepositoryContents, arch: str = "amd64") -> list[str]:
    return [artifact.name for artifact in listing(NAME, "bookworm", contents)[0].packages.get(arch, ())]


def after(*holdings: RepositoryEntry) -> dict[UnitTarget, RepositoryEntry]:
    return apply_results({}, holdings)


def test_the_newest_verdict_wins_in_whatever_order_they_come() -> None:
    verdicts = [holding("a", number, deb("a", str(number))) for number in (1, 2, 3)]
    for order in permutations(verdicts):
        contents: dict[UnitTarget, RepositoryEntry] = {}
        for verdict in order:
            contents = apply_results(contents, [verdict])
        assert listed(contents) == ["a_3_amd64.deb"]


def test_a_package_that_a_unit_no_longer_makes_leaves() -> None:
    assert listed(after(holding("a", 1, deb("a"), deb("a-extra")), holding("a", 2, deb("a", "2")))) == ["a_2_amd64.deb"]


def test_a_removed_unit_leaves_and_others_stay() -> None:
    contents = after(holding("a", 1, deb("a")), holding("b", 1, deb("b")))
    gone = holding("a", 1).slot
    assert listed(apply_results(contents, [], {gone})) == ["b_1_amd64.deb"]
    assert listed(apply_results(contents, [holding("a", 2, deb("a", "2"))], {gone})) == ["b_1_amd64.deb"]


def test_two_units_that_make_the_same_package_newest_wins_with_a_warning() -> None:
    contents = after(holding("new", 2, deb("a", "1.0")), holding("old", 1, deb("a", "9.0")))
    assert listed(contents) == ["a_1.0_amd64.deb"]
    _, warnings = listing(NAME, "bookworm", contents)
    assert warnings == ("a (amd64) is made by new and by old: that of new is listed",)


def test_packages_for_all_architectures_are_in_each_index_from_its_own_target() -> None:
    contents = after(
        holding("a", 1, deb("a"), deb("data", "1", "all")),
        holding("a", 2, deb("a", "2", "arm64"), deb("data", "2", "all"), arch="aarch64"),
    )
    assert listed(contents) == ["a_1_amd64.deb", "data_1_all.deb"]
    assert listed(contents, "arm64") == ["a_2_arm64.deb", "data_2_all.deb"]


def test_a_package_for_all_built_on_one_architecture_is_in_every_index() -> None:
    contents = after(holding("doc", 1, deb("doc", "1", "all")), holding("a", 1, deb("a", "1", "arm64"), arch="aarch64"))
    assert listed(contents) == ["doc_1_all.deb"]
    assert listed(contents, "arm64") == ["a_1_arm64.deb", "doc_1_all.deb"]


def test_architectures_keep_their_index_when_nothing_is_built_for_them() -> None:
    made, _ = listing(NAME, "bookworm", {}, ["amd64", "arm64"])
    assert made.packages == {"amd64": (), "arm64": ()}
    assert made.size == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (holding("a", 1, deb("a")), holding("a", 2, deb("a")), True),
        (holding("a", 1, deb("a")), holding("a", 2, deb("a", "2")), False),
        (holding("a", 1, deb("a")), None, False),
    ],
    ids=["other job", "other package", "none"],
)
def test_only_other_packages_change_an_index(one: RepositoryEntry, other: RepositoryEntry | None, same: bool) -> None:
    assert is_same(one, other) is same


units = st.sampled_from(["a", "b", "c"])
arches = st.sampled_from(["x86_64", "aarch64"])
packages = st.lists(
    st.builds(deb, st.sampled_from(["p", "q", "r"]), st.sampled_from("12"), st.sampled_from(["amd64", "arm64", "all"])),
    max_size=3,
    unique_by=lambda artifact: artifact.name.split("_")[::2][0] + artifact.name.split("_")[2],
)


@st.composite
def verdicts(draw: st.DrawFn) -> list[RepositoryEntry]:
    """Verdicts on some slots, each with a sequence of its own."""
    count = draw(st.integers(0, 8))
    return [
        holding(draw(units), number, *draw(packages), arch=draw(arches), job=f"r{number}.1") for number in range(count)
    ]


@given(verdicts(), st.randoms(use_true_random=False), st.sets(units))
def test_order_repetition_and_batches_do_not_matter(events: list[RepositoryEntry], random, gone: set[str]) -> None:  # type: ignore[no-untyped-def]
    removed = {each.slot for each in events if each.unit in gone}
    shuffled = events + random.sample(events, len(events) // 2)
    random.shuffle(shuffled)
    contents: dict[UnitTarget, RepositoryEntry] = {}
    for event in shuffled:
        contents = apply_results(contents, [event])
    contents = apply_results(contents, [], removed)
    assert contents == apply_results({}, events, removed)
    assert listing(NAME, "bookworm", contents) == listing(NAME, "bookworm", apply_results({}, events, removed))


@given(verdicts())
def test_an_index_is_sorted_and_names_each_package_once(events: list[RepositoryEntry]) -> None:
    made, _ = listing(NAME, "bookworm", apply_results({}, events))
    for arch, artifacts in made.packages.items():
        names = [(a.package.name, a.package.architecture) for a in artifacts if a.package]
        assert names == sorted(set(names))
        assert {name[1] for name in names} <= {arch, "all"}


def test_packages_and_its_stanzas_are_each_others_reverse() -> None:
    texts = {path: f"Package: {path}\nFilename: {path}\nSize: 1\n" for path in ("pool/a", "pool/b")}
    assert apt_index.stanzas(apt_index.packages(texts.values())) == texts
    assert apt_index.stanzas(apt_index.packages([])) == {}


def test_release_says_what_apt_asks_for() -> None:
    facts = apt_index.ReleaseFields("demo-bookworm", "bookworm", ("amd64",), 1_790_000_000)
    text = apt_index.release(facts, {"main/binary-amd64/Packages": b""})
    assert "Date: Mon, 21 Sep 2026 14:13:20 UTC\n" in text
    assert text.endswith(f"SHA256:\n {hashlib.sha256(b'').hexdigest()}         0 main/binary-amd64/Packages\n")
