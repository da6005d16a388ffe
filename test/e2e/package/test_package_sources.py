"""Source packages that builds leave, for each form that a unit may have, and a unit of installer packages alone.

One unit in three forms: a tree of format 3.0 (quilt) without a tarball, the source package that its build left, and a
tree of format 1.0 beside a pristine tarball.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.outcome import Outcome
from e2e.package.package_workspace import PackageWorkspace

SOURCES = (ArtifactKind.DSC, ArtifactKind.SOURCE)
CONTROL = """\
Source: installer-only
Section: debian-installer
Priority: optional
Maintainer: Someone <someone@example.org>
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: installer-only-udeb
Package-Type: udeb
Architecture: all
Description: a package for the installer
"""
RULES = """\
#!/usr/bin/make -f
clean:
build binary-arch:
binary binary-indep:
\tmkdir -p debian/tmp/DEBIAN
\tcp text debian/tmp/
\tdpkg-gencontrol -pinstaller-only-udeb -ninstaller-only-udeb_1.0-1_all.udeb
\tdpkg-deb --root-owner-group --build debian/tmp ../installer-only-udeb_1.0-1_all.udeb
"""
CHANGELOG = """\
installer-only (1.0-1) unstable; urgency=medium

  * A change.

 -- Someone <someone@example.org>  Mon, 06 Jan 2025 10:00:00 +0000
"""


def sources(finished: AttemptFinished) -> dict[str, str]:
    return {artifact.name: artifact.sha256 for artifact in finished.artifacts if artifact.kind in SOURCES}


def write_unit(workspace: PackageWorkspace, name: str, files: dict[str, str]) -> Path:
    directory = workspace.unit(name)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(workspace.unit("libgreet") / ".cb", directory / ".cb")
    for file, text in files.items():
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(text)
    return directory


def tree_files(source_format: str, **more: str) -> dict[str, str]:
    texts = {"control": CONTROL, "rules": RULES, "changelog": CHANGELOG, "source/format": source_format}
    return {**{f"debian/{name}": text for name, text in texts.items()}, **more}


@pytest.fixture(scope="module")
def tree(workspace: PackageWorkspace) -> AttemptFinished:
    files = tree_files("3.0 (quilt)\n", text="of upstream\n", **{".gitignore": "*.o\n"})
    (write_unit(workspace, "installer-only", files) / "debian/rules").chmod(0o755)
    return workspace.build("installer-only")


def test_unit_with_packages_for_the_installer_alone_succeeds(tree: AttemptFinished) -> None:
    assert tree.outcome is Outcome.SUCCESS, tree.message
    (udeb,) = [artifact for artifact in tree.artifacts if artifact.kind is ArtifactKind.UDEB]
    assert (udeb.name, udeb.package) == ("installer-only-udeb_1.0-1_all.udeb", None)


def test_source_package_of_a_tree_has_every_file_of_it(
    workspace: PackageWorkspace, tree: AttemptFinished, tmp_path: Path
) -> None:
    assert list(sources(tree)) == ["installer-only_1.0-1.dsc", "installer-only_1.0-1.tar.gz"]
    for name, digest in sources(tree).items():
        workspace.store.fetch(digest, tmp_path / name)
    command = ["dpkg-source", "-x", "installer-only_1.0-1.dsc", "unpacked"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    unpacked, unit = tmp_path / "unpacked", workspace.unit("installer-only")
    for file in ("text", ".gitignore", "debian/control", "debian/rules", "debian/source/format"):
        assert (unpacked / file).read_bytes() == (unit / file).read_bytes()
    assert not (unpacked / ".cb").exists()


def test_unit_that_is_a_source_package_leaves_its_own_files(workspace: PackageWorkspace, tree: AttemptFinished) -> None:
    directory = write_unit(workspace, "installer-only-dsc", {})
    for name, digest in sources(tree).items():
        workspace.store.fetch(digest, directory / name)
    again = workspace.build("installer-only-dsc")
    assert again.outcome is Outcome.SUCCESS, again.message
    assert sources(again) == sources(tree)
    udebs = [[a.sha256 for a in report.artifacts if a.kind is ArtifactKind.UDEB] for report in (again, tree)]
    assert udebs[0] == udebs[1]


def test_source_package_with_a_pristine_tarball_names_the_tarball(workspace: PackageWorkspace, tmp_path: Path) -> None:
    directory = write_unit(workspace, "installer-only-orig", tree_files("1.0\n"))
    (directory / "debian/rules").chmod(0o755)
    (tmp_path / "upstream").mkdir()
    (tmp_path / "upstream/text").write_text("of upstream\n")
    tarball = "installer-only_1.0.orig.tar.gz"
    subprocess.run(["tar", "-C", tmp_path, "-czf", directory / tarball, "upstream"], check=True)
    finished = workspace.build("installer-only-orig")
    assert finished.outcome is Outcome.SUCCESS, finished.message
    found = sources(finished)
    assert sorted(found) == ["installer-only_1.0-1.diff.gz", "installer-only_1.0-1.dsc", tarball]
    workspace.store.fetch(found[tarball], tmp_path / tarball)
    assert (tmp_path / tarball).read_bytes() == (directory / tarball).read_bytes()
