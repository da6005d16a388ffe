"""The collector publishes what can be installed as a whole: it holds builds, keeps packages, and reports both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.model.unit import Problem
from support.collector_harness import NAME, CollectorHarness
from support.factories import unit


@pytest.fixture
def collector(tmp_path: Path) -> CollectorHarness:
    return CollectorHarness(tmp_path)


def head(revision: str, *broken: str, **units: str) -> e.SourceRevised:
    """Returns an announcement. `units`: path (with _ for /) → the packages that the unit is to make."""
    return e.SourceRevised(
        source="demo",
        url="",
        branch="main",
        revision=revision * 40,
        followed=True,
        units=tuple(
            unit(
                path.rpartition("_")[2], path=path.replace("_", "/"), provides=tuple(names.split()), tree=revision * 40
            )
            for path, names in units.items()
        ),
        problems=tuple(Problem(path=path, message="typing error") for path in broken),
    )


def test_library_with_a_new_name_stays_until_nothing_needs_it(collector: CollectorHarness) -> None:
    collector.step(
        collector.finished(1, "lib", collector.package("lib1")),
        collector.finished(1, "app", collector.package("app", depends="lib1")),
    )
    (published,) = collector.step(collector.finished(2, "lib", collector.package("lib2", "2")))
    assert collector.names() == ["app_1_amd64.deb", "lib1_1_amd64.deb", "lib2_2_amd64.deb"]
    assert [(kept.package, kept.reason) for kept in published.kept] == [("lib1", "app 1 of app needs it")]
    (published,) = collector.step(collector.finished(2, "app", collector.package("app", "2", depends="lib2")))
    assert (collector.names(), published.kept) == (["app_2_amd64.deb", "lib2_2_amd64.deb"], ())


def strict_pair(collector: CollectorHarness) -> None:
    collector.step(
        collector.finished(1, "lib", collector.package("lib")),
        collector.finished(1, "app", collector.package("app", depends="lib (= 1)")),
    )


def test_held_build_is_answered_and_published_with_the_one_it_waits_for(collector: CollectorHarness) -> None:
    strict_pair(collector)
    (published,) = collector.step(collector.finished(2, "lib", collector.package("lib", "2")))
    (held,) = published.held
    assert (published.jobs, published.snapshot) == (("r2.lib",), published.previous)
    assert (held.unit, held.job_id, held.packages, held.waits_for) == ("lib", "r2.lib", ("lib 2",), "app")
    assert held.reason == "app 1 of app, which is published, needs lib (= 1)"
    assert collector.names() == ["app_1_amd64.deb", "lib_1_amd64.deb"]
    (published,) = collector.step(collector.finished(2, "app", collector.package("app", "2", depends="lib (= 2)")))
    assert (collector.names(), published.held) == (["app_2_amd64.deb", "lib_2_amd64.deb"], ())


def test_restart_and_replay_change_nothing(collector: CollectorHarness) -> None:
    strict_pair(collector)
    event = collector.finished(2, "lib", collector.package("lib", "2"))
    collector.step(event)
    collector.restart()
    assert collector.step() == []
    (again,) = collector.step(event)
    assert (again.snapshot, again.previous, len(again.held)) == (again.previous, again.snapshot, 1)
    collector.restart()
    collector.step(collector.finished(2, "app", collector.package("app", "2", depends="lib (= 2)")))
    assert collector.names() == ["app_2_amd64.deb", "lib_2_amd64.deb"]
    collector.restart()
    assert collector.step() == []
    assert collector.managed().published(NAME).keys() == collector.managed().contents[NAME].keys()


def test_repository_or_source_can_publish_at_once(collector: CollectorHarness) -> None:
    for setting in (NAME, "demo"):
        collector.restart(CollectorSettings(public_url="http://here", publish_at_once=(setting,)))
        strict_pair(collector)
        collector.step(collector.finished(2, "lib", collector.package("lib", "2")))
        assert collector.names() == ["app_1_amd64.deb", "lib_2_amd64.deb"]


def test_deleted_library_stays_while_a_package_needs_it(collector: CollectorHarness) -> None:
    collector.step(
        head("1", lib="lib", app="app"),
        collector.finished(1, "lib", collector.package("lib")),
        collector.finished(1, "app", collector.package("app", depends="lib")),
    )
    (published,) = collector.step(head("2", app="app"))
    assert collector.names() == ["app_1_amd64.deb", "lib_1_amd64.deb"]
    assert [kept.reason for kept in published.kept] == ["app 1 of app needs it"]
    collector.step(head("3"))
    assert collector.names() == []


def move(collector: CollectorHarness, *more: Any) -> None:
    collector.step(head("1", packages_tool="tool"), collector.finished(1, "packages/tool", collector.package("tool")))
    collector.step(*more)


def test_moved_package_stays_until_its_new_unit_has_made_it(collector: CollectorHarness) -> None:
    move(collector, head("2", tools_tool="tool"))
    assert collector.names() == ["tool_1_amd64.deb"]
    collector.step(collector.finished(2, "tools/tool", collector.package("tool", "2"), tree="2" * 40))
    assert collector.names() == ["tool_2_amd64.deb"]


def test_moved_package_leaves_when_the_new_unit_does_not_make_it(collector: CollectorHarness) -> None:
    move(collector, head("2", tools_tool="tool"))
    collector.step(collector.finished(2, "tools/tool", collector.package("other", "2"), tree="2" * 40))
    assert collector.names() == ["other_2_amd64.deb"]


def test_package_that_moves_to_a_built_unit_stays_until_its_new_build(collector: CollectorHarness) -> None:
    collector.step(
        head("1", tool="tool", suite="suite"),
        collector.finished(1, "tool", collector.package("tool"), tree="1" * 40),
        collector.finished(1, "suite", collector.package("suite"), tree="1" * 40),
    )
    collector.step(head("2", suite="suite tool"))
    assert collector.names() == ["suite_1_amd64.deb", "tool_1_amd64.deb"]
    both = collector.package("suite", "2"), collector.package("tool", "2")
    collector.step(collector.finished(2, "suite", *both, tree="2" * 40))
    assert collector.names() == ["suite_2_amd64.deb", "tool_2_amd64.deb"]


def test_moved_package_stays_while_the_new_unit_cannot_be_read(collector: CollectorHarness) -> None:
    move(collector, head("2", "tools/tool"))
    assert collector.names() == ["tool_1_amd64.deb"]
    collector.step(head("3", tools_tool="other"), collector.finished(3, "tools/tool", collector.package("other")))
    assert collector.names() == ["other_1_amd64.deb"]


def test_repositories_of_one_suite_wait_for_each_other(collector: CollectorHarness) -> None:
    other = {"source": "other", "repository": "other-bookworm"}
    collector.step(
        collector.finished(1, "lib", collector.package("lib")),
        collector.finished(2, "app", collector.package("app", depends="lib (= 1)"), **other),
    )
    collector.step(collector.finished(3, "lib", collector.package("lib", "2")))
    assert collector.names() == ["lib_1_amd64.deb"]
    collector.step(collector.finished(4, "app", collector.package("app", "2", depends="lib (= 2)"), **other))
    assert (collector.names(), collector.names("other-bookworm")) == (["lib_2_amd64.deb"], ["app_2_amd64.deb"])


def test_name_that_the_build_root_had_from_the_distribution_holds_nothing(collector: CollectorHarness) -> None:
    collector.step(head("1", lib="lib", app="app"), collector.finished(1, "lib", collector.package("lib", "9")))
    root: Artifact = collector.put("root.packages", "libc6 2.36 amd64\nlib 3 amd64\n", ArtifactKind.PACKAGES)
    collector.step(head("2", app="app"))
    collector.step(collector.finished(2, "app", collector.package("app", depends="lib (= 3)"), root))
    assert collector.names() == ["app_1_amd64.deb"]


def test_application_waits_for_a_library_that_could_not_be_published(collector: CollectorHarness) -> None:
    strict_pair(collector)
    reported = BinaryPackage(name="lib2", version="2", architecture="amd64")
    lost = collector.package("lib2", "2").model_copy(update={"sha256": "0" * 64, "package": reported})
    app = collector.package("app", "2", depends="lib2")
    collector.step(collector.finished(2, "lib", lost), collector.finished(2, "app", app))
    assert collector.names() == ["app_1_amd64.deb", "lib_1_amd64.deb"]
