"""Contents of a repository after results in any order, and its indices."""

from __future__ import annotations

import hashlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage
from cloud_builder.model.ids import JobId, RepositoryName, UnitPath
from cloud_builder.model.repository import RepositoryEntry, UnitTarget
from cloud_builder.planning.publish import apt_index
from cloud_builder.planning.publish.contents import RepositoryContents, apply_results, is_same, removed_packages
from cloud_builder.planning.publish.listing import listing
from support.factories import deb

NAME = RepositoryName("demo-bookworm")


def source(name: str, version: str = "1", content: str = "") -> SourcePackage:
    digest = hashlib.sha256(f"{name} {version} {content}".encode()).hexdigest()
    dsc = Artifact(name=f"{name}_{version}.dsc", sha256=digest, size=1, kind=ArtifactKind.DSC)
    return SourcePackage(name=name, version=version, files=(dsc,))


def entry(
    unit: str,
    sequence: int,
    *packages: Artifact,
    arch: str = "x86_64",
    job: str = "",
    source: SourcePackage | None = None,
) -> RepositoryEntry:
    return RepositoryEntry(
        unit=UnitPath(unit),
        target=f"bookworm.{arch}",
        arch=arch,
        sequence=sequence,
        job_id=JobId(job or f"r{sequence}.1"),
        packages=packages,
        source=source,
    )


def listed(contents: RepositoryContents, arch: str = "amd64") -> list[str]:
    return [artifact.name for artifact in listing(NAME, "bookworm", contents)[0].packages.get(arch, ())]


def after(*entries: RepositoryEntry) -> dict[UnitTarget, RepositoryEntry]:
    return apply_results({}, entries)


def test_removed_packages_are_those_that_no_build_makes_any_longer() -> None:
    before = {
        ("p/a", "t"): RepositoryEntry(unit="p/a", target="t", arch="x86_64", sequence=1, job_id="j.1",
                                      packages=(deb("a", "1"), deb("a-data", "1"), deb("moved", "1"))),
        ("p/b", "t"): RepositoryEntry(unit="p/b", target="t", arch="x86_64", sequence=1, job_id="j.2",
                                      packages=(deb("b", "1"),)),
    }  # fmt: skip
    after = {
        ("p/a", "t"): before["p/a", "t"].model_copy(update={"packages": (deb("a", "2"),)}),
        ("p/c", "t"): before["p/b", "t"].model_copy(update={"unit": "p/c", "packages": (deb("moved", "2"),)}),
    }
    assert removed_packages(before, after) == ("a-data 1", "b 1")
    assert removed_packages(before, dict(before)) == ()


def test_newest_result_is_listed_in_any_order_of_results() -> None:
    results = [entry("a", number, deb("a", str(number))) for number in (1, 2, 3)]
    for order in permutations(results):
        contents: dict[UnitTarget, RepositoryEntry] = {}
        for result in order:
            contents = apply_results(contents, [result])
        assert listed(contents) == ["a_3_amd64.deb"]


def test_package_that_a_unit_no_longer_makes_is_removed() -> None:
    assert listed(after(entry("a", 1, deb("a"), deb("a-extra")), entry("a", 2, deb("a", "2")))) == ["a_2_amd64.deb"]


def test_removed_unit_is_not_listed_and_others_stay() -> None:
    contents = after(entry("a", 1, deb("a")), entry("b", 1, deb("b")))
    gone = entry("a", 1).unit_target
    assert listed(apply_results(contents, [], {gone})) == ["b_1_amd64.deb"]
    assert listed(apply_results(contents, [entry("a", 2, deb("a", "2"))], {gone})) == ["b_1_amd64.deb"]


def test_newest_package_of_two_units_is_listed_with_a_warning() -> None:
    contents = after(entry("new", 2, deb("a", "1.0")), entry("old", 1, deb("a", "9.0")))
    assert listed(contents) == ["a_1.0_amd64.deb"]
    _, warnings = listing(NAME, "bookworm", contents)
    assert warnings == ("a (amd64) is made by new and by old: the package of new is listed",)


def test_package_for_all_is_listed_from_the_target_of_each_architecture() -> None:
    contents = after(
        entry("a", 1, deb("a"), deb("data", "1", "all")),
        entry("a", 2, deb("a", "2", "arm64"), deb("data", "2", "all"), arch="aarch64"),
    )
    assert listed(contents) == ["a_1_amd64.deb", "data_1_all.deb"]
    assert listed(contents, "arm64") == ["a_2_arm64.deb", "data_2_all.deb"]


def test_package_for_all_of_one_target_is_in_every_index() -> None:
    contents = after(entry("doc", 1, deb("doc", "1", "all")), entry("a", 1, deb("a", "1", "arm64"), arch="aarch64"))
    assert listed(contents) == ["doc_1_all.deb"]
    assert listed(contents, "arm64") == ["a_1_arm64.deb", "doc_1_all.deb"]


def test_foreign_clients_see_packages_for_all_that_all_targets_agree_on() -> None:
    amd64 = entry("a", 1, deb("data", "1", "all", content="x"))
    arm64 = entry("a", 1, deb("data", "1", "all", content="y"), arch="aarch64")
    newer = entry("a", 2, deb("data", "2", "all"), arch="aarch64")
    agreed, _ = listing(NAME, "bookworm", after(amd64, arm64))
    assert agreed.packages["all"] == agreed.packages["amd64"] == agreed.packages["arm64"]
    assert listed(after(amd64, newer), "all") == []
    assert listed(after(amd64, newer)) == ["data_1_all.deb"]


def test_source_of_each_listed_version_is_listed_once() -> None:
    amd64, arm64 = entry("a", 1, deb("a"), source=source("a")), entry("a", 2, deb("a"), arch="aarch64")
    newer = source("a", "2")
    for of_arm64, expected in ((source("a", content="x"), [source("a", content="x")]), (newer, [source("a"), newer])):
        contents = after(amd64, arm64.model_copy(update={"source": of_arm64}))
        assert listing(NAME, "bookworm", contents)[0].sources == tuple(expected)
    assert listing(NAME, "bookworm", after(entry("a", 1, source=newer)))[0].sources == ()


def test_architecture_without_packages_keeps_its_index() -> None:
    published, _ = listing(NAME, "bookworm", {}, ["amd64", "arm64"])
    assert published.packages == {"all": (), "amd64": (), "arm64": ()}
    assert published.size == 0


@pytest.mark.parametrize(
    ("entry", "current", "same"),
    [
        (entry("a", 1, deb("a")), entry("a", 2, deb("a")), True),
        (entry("a", 1, deb("a")), entry("a", 2, deb("a", "2")), False),
        (entry("a", 1, deb("a")), None, False),
        (entry("a", 1, deb("a")), entry("a", 1, deb("a"), source=source("a")), False),
    ],
    ids=["other job", "other package", "none", "other source"],
)
def test_only_other_packages_change_an_index(
    entry: RepositoryEntry, current: RepositoryEntry | None, same: bool
) -> None:
    assert is_same(entry, current) is same


units = st.sampled_from(["a", "b", "c"])
arches = st.sampled_from(["x86_64", "aarch64"])
packages = st.lists(
    st.builds(deb, st.sampled_from(["p", "q", "r"]), st.sampled_from("12"), st.sampled_from(["amd64", "arm64", "all"])),
    max_size=3,
    unique_by=lambda artifact: artifact.name.split("_")[::2][0] + artifact.name.split("_")[2],
)


@st.composite
def results(draw: st.DrawFn) -> list[RepositoryEntry]:
    """Results for some units and targets, each with another sequence."""
    count = draw(st.integers(0, 8))
    return [
        entry(draw(units), number, *draw(packages), arch=draw(arches), job=f"r{number}.1") for number in range(count)
    ]


@given(results(), st.randoms(use_true_random=False), st.sets(units))
def test_contents_do_not_depend_on_order_repetition_or_batches(
    events: list[RepositoryEntry], random, gone: set[str]
) -> None:  # type: ignore[no-untyped-def]
    removed = {each.unit_target for each in events if each.unit in gone}
    shuffled = events + random.sample(events, len(events) // 2)
    random.shuffle(shuffled)
    contents: dict[UnitTarget, RepositoryEntry] = {}
    for event in shuffled:
        contents = apply_results(contents, [event])
    contents = apply_results(contents, [], removed)
    assert contents == apply_results({}, events, removed)
    assert listing(NAME, "bookworm", contents) == listing(NAME, "bookworm", apply_results({}, events, removed))


@given(results())
def test_index_is_sorted_and_has_each_package_once(events: list[RepositoryEntry]) -> None:
    published, _ = listing(NAME, "bookworm", apply_results({}, events))
    for arch, artifacts in published.packages.items():
        names = [(a.package.name, a.package.architecture) for a in artifacts if a.package]
        assert names == sorted(set(names))
        assert {name[1] for name in names} <= {arch, "all"}
        assert set(published.packages["all"]) <= set(artifacts)


@pytest.mark.parametrize(("name", "field"), [("Packages", "Filename"), ("Sources", "Directory")])
def test_stanzas_reverses_index(name: str, field: str) -> None:
    texts = {path: f"Package: {path}\n{field}: {path}\nSize: 1\n" for path in ("pool/a", "pool/b")}
    assert apt_index.stanzas(name, apt_index.index(texts.values())) == texts
    assert apt_index.stanzas(name, apt_index.index([])) == {}


def test_snapshot_has_an_index_of_each_kind() -> None:
    symbols, udeb = deb("a-dbgsym", debug_symbols=True), deb("a-udeb").model_copy(update={"kind": ArtifactKind.UDEB})
    contents = after(entry("a", 1, deb("a"), deb("data", "1", "all"), symbols, udeb, source=source("a")))
    published, _ = listing(NAME, "bookworm", contents)
    assert {path: len(listed) for path, listed in apt_index.indices(published).items()} == {
        "main/binary-all/Packages": 1,
        "main/binary-amd64/Packages": 2,
        "debug/binary-all/Packages": 0,
        "debug/binary-amd64/Packages": 1,
        "main/debian-installer/binary-all/Packages": 0,
        "main/debian-installer/binary-amd64/Packages": 1,
        "main/source/Sources": 1,
        "debug/source/Sources": 0,
    }
    assert len(apt_index.pool_files(published)) == 4 + 1
    assert published.size == 4


def test_package_that_the_distribution_has_is_a_warning() -> None:
    contents = after(entry("a", 1, deb("a", in_distribution="1"), deb("b", in_distribution="2"), deb("c")))
    (warning,) = listing(NAME, "bookworm", contents)[1]
    assert warning.startswith("the distribution has an equal or a higher version of a 1, b 1 (there 2): ")
    assert f"{NAME}.pref" in warning


def test_repository_without_installer_packages_has_no_index_of_them() -> None:
    published, _ = listing(NAME, "bookworm", after(entry("a", 1, deb("a"))))
    assert not any("debian-installer" in path for path in apt_index.indices(published))


def test_release_has_the_fields_that_apt_reads() -> None:
    fields = apt_index.ReleaseFields("demo-bookworm", "bookworm", ("amd64",), 1_790_000_000)
    text = apt_index.release(fields, {"main/binary-amd64/Packages": b""})
    assert "Date: Mon, 21 Sep 2026 14:13:20 UTC\n" in text
    assert text.endswith(f"SHA256:\n {hashlib.sha256(b'').hexdigest()}         0 main/binary-amd64/Packages\n")
