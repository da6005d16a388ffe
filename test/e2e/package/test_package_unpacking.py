"""Sources of each form are unpacked as dpkg-source unpacks them; the package of each has its whole tree."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.outcome import Outcome
from e2e.package.package_workspace import PackageWorkspace

NAME = "unpacked"
CONTROL = """\
Source: unpacked
Maintainer: Someone <someone@example.org>
Build-Depends : make (> 1.0), libc6-dev [gnu-any-any], nosuchthing [!gnu-any-any]
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: unpacked
Architecture: all
Description: the tree of a source, one \u2028 two \x85
 three \u2028 four
"""
RULES = """\
#!/usr/bin/make -f
clean build binary-arch:
binary binary-indep:
\tmkdir -p debian/tmp/DEBIAN debian/tmp/tree
\ttar --exclude=./debian --exclude=./.pc -cf - . | tar -C debian/tmp/tree -xf -
\tdpkg-gencontrol -punpacked
\tdpkg-deb --root-owner-group --build debian/tmp ..
"""
CHANGELOG = """\
unpacked (1.0-1) unstable; urgency=medium, Mon, 06 Jan 2025 10:00:00 +0000

  * One \u2028 two \x0c three.
 * A bullet behind one space.

 -- Someone <someone@example.org> Mon, 06 Jan 2025 10:00:00 +0000
"""
ADDED = "--- /dev/null\n+++ b/added.txt\n@@ -0,0 +1 @@\n+added\n"
FIX = "--- a/src/x.txt\n+++ b/src/x.txt\n@@ -1 +1 @@\n-upstream\n+fixed\n"
FILES = {"src/x.txt": (b"upstream\n", 0o400), ".config": (b"hidden\n", 0o644), "closed/y.sh": (b"#!/bin/sh\n", 0o555)}


def write_unit(workspace: PackageWorkspace, source_format: str, **patches: str) -> Path:
    """Writes a unit with debian/ alone. `patches`: their texts by name, in the order of the series."""
    directory = workspace.unit(NAME)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(workspace.unit("libgreet") / ".cb", directory / ".cb")
    manifest = directory / ".cb/cloud_builder.yml"
    manifest.write_text(manifest.read_text().replace("libgreet", NAME))
    texts = {"control": CONTROL, "rules": RULES, "changelog": CHANGELOG, "source/format": f"{source_format}\n"}
    series = {"patches/series": "".join(f"{name}\n" for name in patches)} if patches else {}
    for name, text in {**texts, **series, **{f"patches/{name}": text for name, text in patches.items()}}.items():
        (directory / "debian" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "debian" / name).write_text(text)
    (directory / "debian/rules").chmod(0o755)
    return directory


def write_tree(directory: Path, content: str = "upstream\n") -> None:
    (directory / "src").mkdir()
    (directory / "src/x.txt").write_text(content)


def pack(path: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """Writes a tarball without a directory at its top. Directories have the mode 0555."""
    with tarfile.open(path, "w:gz") as tar:
        for name, (content, mode) in files.items():
            if "/" in name:
                directory = tarfile.TarInfo(name.partition("/")[0])
                directory.type, directory.mode = tarfile.DIRTYPE, 0o555
                tar.addfile(directory)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, BytesIO(content))


def tree_of(workspace: PackageWorkspace, finished: AttemptFinished, into: Path) -> dict[str, tuple[str, int]]:
    """Returns the files of the tree that was built, with their modes."""
    assert finished.outcome is Outcome.SUCCESS, finished.message
    (deb,) = [artifact for artifact in finished.artifacts if artifact.kind is ArtifactKind.DEB]
    workspace.store.fetch(deb.sha256, into / deb.name)
    subprocess.run(["dpkg-deb", "-x", into / deb.name, into / "deb"], check=True)
    top = into / "deb/tree"
    files = [path for path in top.rglob("*") if path.is_file()]
    return {str(path.relative_to(top)): (path.read_text(), path.stat().st_mode & 0o777) for path in files}


def test_tarballs_without_a_top_directory_are_unpacked_whole_and_patched(workspace, tmp_path: Path) -> None:
    directory = write_unit(workspace, "3.0 (quilt)", **{"1-add.patch": ADDED, "2-fix.patch": FIX})
    pack(directory / "unpacked_1.0.orig.tar.gz", FILES)
    pack(directory / "unpacked_1.0.orig-part.tar.gz", {"z.txt": (b"of a component\n", 0o600)})
    assert tree_of(workspace, workspace.build(NAME), tmp_path) == {
        "src/x.txt": ("fixed\n", 0o644),
        "added.txt": ("added\n", 0o644),
        ".config": ("hidden\n", 0o644),
        "closed/y.sh": ("#!/bin/sh\n", 0o755),
        "part/z.txt": ("of a component\n", 0o644),
    }


@pytest.mark.parametrize("has_tarball", [True, False])
def test_patch_that_does_not_apply_fails_and_is_named(workspace, has_tarball: bool) -> None:
    stale = FIX.replace("-upstream", "-of the release before")
    directory = write_unit(workspace, "3.0 (quilt)", **{"stale.patch": stale, "add.patch": ADDED})
    if has_tarball:
        pack(directory / "unpacked_1.0.orig.tar.gz", FILES)
    else:
        write_tree(directory)
    finished = workspace.build(NAME)
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "unpack-failed", "unpack")
    assert "debian/patches/stale.patch" in finished.message.splitlines()[0]


@pytest.mark.parametrize("content", ["upstream\n", "fixed\n"], ids=["unapplied", "applied"])
def test_tree_without_tarball_is_built_patched(workspace, tmp_path: Path, content: str) -> None:
    write_tree(write_unit(workspace, "3.0 (quilt)", **{"fix.patch": FIX}), content)
    assert tree_of(workspace, workspace.build(NAME), tmp_path) == {"src/x.txt": ("fixed\n", 0o644)}


def test_tree_beside_its_tarball_is_compared_with_it(workspace, tmp_path: Path) -> None:
    directory = write_unit(workspace, "3.0 (quilt)", **{"fix.patch": FIX})
    pack(directory / "unpacked_1.0.orig.tar.gz", FILES)
    write_tree(directory)
    (directory / "README").write_text("not a part of the source when debian/ is alone\n")
    finished = workspace.build(NAME)
    assert (finished.outcome, finished.step) == (Outcome.FAILURE, "unpack")
    assert "aborting due to unexpected upstream changes" in finished.message
    assert "README" in workspace.log_text()
    (directory / "README").unlink()
    assert tree_of(workspace, workspace.build(NAME), tmp_path)["src/x.txt"] == ("fixed\n", 0o644)
