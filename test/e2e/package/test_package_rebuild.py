"""Builds under the next version: what dpkg makes of the entry in debian/changelog."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.rebuild import Rebuild
from e2e.package.package_workspace import PackageWorkspace

CONTROL = """\
Source: again
Section: misc
Priority: optional
Maintainer: Tester <tester@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: again
Architecture: any
Multi-Arch: same
Depends: again-data (= ${source:Version}), ${misc:Depends}
Description: a package beside one for all architectures

Package: again-data
Architecture: all
Breaks: again (<< ${binary:Version})
Depends: ${misc:Depends}
Description: a package for all architectures
"""
CHANGELOG = """\
again (1:1.0-1) bookworm; urgency=medium

  * A change.

 -- Tester <tester@example.org>  Mon, 06 Jan 2025 10:00:00 +0000
"""
REBUILT = "1:1.0-1+cb2"


def write(workspace: PackageWorkspace, name: str, files: dict[str, str]) -> Path:
    directory = workspace.unit(name)
    root = workspace.unit("libgreet") / ".cb/build_root.kiwi"
    manifest = f"schema_version: 1.0\nname: {name}\ndistributions: [{{dist: bookworm, arch: x86_64}}]\n"
    for path, text in {**files, ".cb/cloud_builder.yml": manifest, ".cb/build_root.kiwi": root.read_text()}.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory


@pytest.fixture(scope="module")
def rebuilt(workspace: PackageWorkspace) -> AttemptFinished:
    files = {"debian/control": CONTROL, "debian/changelog": CHANGELOG, "debian/source/format": "1.0\n"}
    rules = write(workspace, "again", {**files, "debian/rules": "#!/usr/bin/make -f\n%:\n\tdh $@\n"}) / "debian/rules"
    rules.chmod(0o755)
    finished = workspace.build("again", rebuild=Rebuild(version="1:1.0-1", number=2))
    assert finished.outcome is Outcome.SUCCESS, finished.message
    return finished


def digests(finished: AttemptFinished, *kinds: ArtifactKind) -> dict[str, str]:
    return {artifact.name: artifact.sha256 for artifact in finished.artifacts if artifact.kind in kinds}


def fetched(workspace: PackageWorkspace, finished: AttemptFinished, directory: Path) -> Path:
    for name, digest in digests(finished, ArtifactKind.DEB, ArtifactKind.DSC, ArtifactKind.SOURCE).items():
        workspace.store.fetch(digest, directory / name)
    return directory


def field(deb: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "-f", deb, name], check=True, capture_output=True, text=True).stdout.strip()


def test_all_packages_of_the_source_have_the_next_version(workspace, rebuilt: AttemptFinished, tmp_path: Path) -> None:
    assert rebuilt.source_version == REBUILT
    directory = fetched(workspace, rebuilt, tmp_path)
    native, data = directory / "again_1.0-1+cb2_amd64.deb", directory / "again-data_1.0-1+cb2_all.deb"
    assert {field(deb, "Version") for deb in (native, data)} == {REBUILT}
    assert (field(native, "Depends"), field(data, "Breaks")) == (f"again-data (= {REBUILT})", f"again (<< {REBUILT})")
    assert {field(deb, "Source") for deb in (native, data)} == {"", "again"}, "no other version of the source"
    subprocess.run(["dpkg", "--compare-versions", REBUILT, "gt", "1:1.0-1"], check=True)


def test_changelog_has_an_entry_whose_time_follows_from_the_last(
    workspace, rebuilt: AttemptFinished, tmp_path: Path
) -> None:
    deb = fetched(workspace, rebuilt, tmp_path) / "again_1.0-1+cb2_amd64.deb"
    subprocess.run(["dpkg-deb", "-x", deb, tmp_path / "files"], check=True)
    packed = tmp_path / "files/usr/share/doc/again/changelog.Debian.gz"
    text = subprocess.run(["zcat", packed], check=True, capture_output=True, text=True).stdout
    assert text.startswith(f"again ({REBUILT}) bookworm; urgency=low\n\n  * Rebuild: ")
    assert " -- Tester <tester@example.org>  Mon, 06 Jan 2025 10:00:02 +0000\n" in text
    assert text.endswith(CHANGELOG)
    assert packed.stat().st_mtime == 1736157602


def test_source_package_has_the_next_version_and_builds_the_same(
    workspace: PackageWorkspace, rebuilt: AttemptFinished, tmp_path: Path
) -> None:
    assert "again_1.0-1+cb2.dsc" in digests(rebuilt, ArtifactKind.DSC)
    for name, digest in digests(rebuilt, ArtifactKind.DSC, ArtifactKind.SOURCE).items():
        workspace.store.fetch(digest, write(workspace, "again-dsc", {}) / name)
    again = workspace.build("again-dsc", rebuild=Rebuild(version="1:1.0-1", number=7))
    assert again.outcome is Outcome.SUCCESS, again.message
    assert again.source_version == REBUILT, "the number is for another version"
    assert digests(again, ArtifactKind.DEB) == digests(rebuilt, ArtifactKind.DEB)
    next_one = workspace.build("again-dsc", rebuild=Rebuild(version=REBUILT, number=1))
    assert next_one.outcome is Outcome.SUCCESS, next_one.message
    assert "again_1.0-1+cb2+cb1.dsc" in digests(next_one, ArtifactKind.DSC)
    directory = fetched(workspace, next_one, tmp_path)
    assert field(directory / "again_1.0-1+cb2+cb1_amd64.deb", "Version") == f"{REBUILT}+cb1"
    unpack = ["dpkg-source", "-x", "again_1.0-1+cb2+cb1.dsc", "unpacked"]
    subprocess.run(unpack, cwd=directory, check=True, capture_output=True)
