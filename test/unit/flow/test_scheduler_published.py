"""Tests of virtual packages that another source has published: a unit that needs one is built with its provider."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.rebuild import Rebuild
from support.factories import deb, unit
from support.scheduler_harness import SchedulerHarness


def publish(harness: SchedulerHarness, name: str, tree: str, provides: str, source: str = "mail") -> None:
    """Builds a package that provides virtual packages, as a push does."""
    harness.deliver(harness.snapshot(unit(name, tree=tree), source=source, revision=tree))
    harness.deliver(harness.request(name, id=f"{name}-{tree}", source=source, revision=tree, publish=True))
    while harness.assignments["r1"]:
        report = harness.report(harness.assignments["r1"].pop())
        [deb] = report.artifacts
        deb = deb.model_copy(update={"package": deb.package.model_copy(update={"provides": provides})})
        harness.deliver(report.model_copy(update={"artifacts": (deb,)}))


def built_with(harness: SchedulerHarness, relation: str) -> list[str]:
    """Returns the names of the packages with which a unit of another source is built."""
    tree = str(5 + len(harness.starts))
    harness.deliver(harness.snapshot(unit("app", relation, tree=tree), source="s"))
    harness.deliver(harness.request("app", id=f"app-{tree}", source="s"))
    [assignment] = harness.assignments["r1"]
    harness.finish_all()
    return [artifact.package.name for artifact in assignment.dependencies]


@pytest.fixture
def harness() -> SchedulerHarness:
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats())
    publish(harness, "exim", "1", "mail-agent, smtp (= 2)")
    return harness


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ("mail-agent", ["exim"]),
        ("smtp (>= 2)", ["exim"]),
        ("smtp (>= 3)", []),
        ("mail-agent (>= 1)", []),
        ("nobody | mail-agent", ["exim"]),
    ],
)
def test_provider_is_found_by_the_virtual_package(harness, relation, expected, restart) -> None:
    if restart:
        harness.boot()
        harness.deliver(*harness.heartbeats())
    assert built_with(harness, relation) == expected


def test_newer_build_replaces_what_a_package_provides(harness) -> None:
    assert built_with(harness, "mail-agent") == ["exim"]
    publish(harness, "exim", "2", "smtp (= 3)")
    assert built_with(harness, "mail-agent") == []
    assert built_with(harness, "smtp (>= 3)") == ["exim"]


def test_package_of_that_name_is_preferred_to_a_provider(harness) -> None:
    publish(harness, "smtp", "3", "", source="other")
    assert built_with(harness, "smtp") == ["smtp"]
    assert built_with(harness, "smtp (>= 2)") == ["exim"]


def test_package_of_a_deleted_unit_provides_nothing(harness) -> None:
    harness.deliver(harness.snapshot(unit("other"), source="mail", revision="9"))
    assert built_with(harness, "mail-agent") == []
    assert harness.state.count("package-providers") == 0


def test_changed_package_of_the_installer_gets_the_next_version(harness) -> None:
    def built(tree: str, content: str) -> e.JobAssigned | None:
        harness.deliver(harness.snapshot(unit("disk", tree=tree), source="mail", revision=tree))
        harness.deliver(harness.request("disk", id=f"disk-{tree}", source="mail", revision=tree, publish=True))
        package = deb("disk-udeb", "1", content=content).model_copy(
            update={"name": "disk-udeb_1_amd64.udeb", "kind": ArtifactKind.UDEB, "package": None}
        )
        report = harness.report(harness.assignments["r1"].pop(), content="same")
        harness.deliver(report.model_copy(update={"artifacts": (*report.artifacts, package)}))
        return next(iter(harness.assignments["r1"]), None)

    assert built("3", "a") is None
    assert built("4", "a") is None
    again = built("5", "b")
    assert again is not None
    assert again.rebuild == Rebuild(version="1", number=1)
