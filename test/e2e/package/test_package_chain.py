"""The example chain through the package builder: real git, root, apt, sandbox and store."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.outcome import Outcome

STEPS = ["fetch", "source", "root", "dependencies", "unpack", "build", "collect", "upload"]


PUBLISHED = (ArtifactKind.DEB, ArtifactKind.DSC, ArtifactKind.SOURCE)


def digests(finished) -> dict[str, str]:
    return {artifact.name: artifact.sha256 for artifact in finished.artifacts if artifact.kind in PUBLISHED}


@pytest.fixture(scope="session")
def card(workspace, libgreet, greet):
    return workspace.build("greeting-card", libgreet, greet)


def test_job_has_packages_description_package_list_and_log(workspace, libgreet) -> None:
    assert (libgreet.outcome, libgreet.message, libgreet.step) == (Outcome.SUCCESS, "", "")
    assert Counter(artifact.kind for artifact in libgreet.artifacts) == {
        ArtifactKind.DEB: 3,
        ArtifactKind.CHANGES: 1,
        ArtifactKind.BUILDINFO: 1,
        ArtifactKind.PACKAGES: 1,
        ArtifactKind.DSC: 1,
        ArtifactKind.SOURCE: 1,
    }
    assert all(workspace.store.has(artifact.sha256) for artifact in (*libgreet.artifacts, libgreet.log))
    assert list(libgreet.timings) == STEPS
    assert libgreet.log.name == "libgreet_bookworm.x86_64.log"
    log = workspace.whole_log(libgreet)
    assert [line[4:] for line in log.splitlines() if line.startswith("==> ")] == [*STEPS, "success"]
    assert "./test_greet" in log


def test_package_list_has_the_packages_of_the_root(workspace, libgreet) -> None:
    (listed,) = [artifact for artifact in libgreet.artifacts if artifact.kind is ArtifactKind.PACKAGES]
    assert listed.name == "libgreet_1.0.0_x86_64.packages"
    with workspace.store.open(listed.sha256) as file:
        lines = [line.split() for line in file.read().decode().splitlines()]
    assert all(len(line) == 3 for line in lines)
    assert {"debhelper", "gcc", "dpkg-dev"} <= {name for name, _, _ in lines}


def test_tool_links_the_library_of_its_assignment(workspace, greet) -> None:
    assert greet.outcome is Outcome.SUCCESS, greet.message
    (deb,) = [artifact for artifact in greet.artifacts if artifact.name == "greet_1.2-1_amd64.deb"]
    assert "libgreet1 (>= 1.0)" in deb.package.depends
    assert not [line for line in workspace.whole_log(greet).splitlines() if line.startswith(("Err:", "Ign:"))]


def test_top_of_the_chain_is_made_with_the_tool_below_it(workspace, card, tmp_path: Path) -> None:
    assert card.outcome is Outcome.SUCCESS, card.message
    (deb,) = [artifact for artifact in card.artifacts if artifact.kind is ArtifactKind.DEB]
    workspace.store.fetch(deb.sha256, tmp_path / deb.name)
    subprocess.run(["dpkg-deb", "-x", tmp_path / deb.name, tmp_path / "card"], check=True)
    example = tmp_path / "card/usr/share/doc/greeting-card/examples/example-card.txt"
    assert "| Good evening, reader! |" in example.read_text()


def test_cached_root_and_layer_are_not_made_again(workspace, libgreet) -> None:
    again = workspace.build("libgreet")
    assert again.outcome is Outcome.SUCCESS
    assert "apt" not in workspace.log_text().partition("==> build")[0]


def test_two_homes_build_identical_packages(new_workspace, workspace, libgreet, greet, card) -> None:
    other = new_workspace("elsewhere")
    other.add_examples()
    (other.repository / "README").write_text("Another commit, at another time, in another place.\n")
    first = other.build("libgreet")
    second = other.build("greet", first)
    third = other.build("greeting-card", first, second)
    for here, there in ((libgreet, first), (greet, second), (card, third)):
        assert digests(here) == digests(there) != {}
    assert other.leftovers() == []


def test_changed_library_is_used_by_the_next_build(workspace, libgreet, tmp_path: Path) -> None:
    source = workspace.unit("libgreet") / "greet.c"
    text = source.read_text()
    source.write_text(text.replace('"Good evening"', '"Good EVENING"'))
    tests = workspace.unit("libgreet") / "test_greet.c"
    tests.write_text(tests.read_text().replace('"Good evening"', '"Good EVENING"'))
    changed = workspace.build("libgreet")
    assert changed.outcome is Outcome.SUCCESS, changed.message
    assert digests(changed) != digests(libgreet)
    greet = workspace.build("greet", changed)
    assert greet.outcome is Outcome.FAILURE
    assert "Good EVENING, whole world!" in greet.message
