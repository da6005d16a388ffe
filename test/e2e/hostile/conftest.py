"""A real package builder, a tiny unit to be made hostile, and what must be gone when a build is over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_builder.adapters.sandbox import resource_usage
from e2e.package.package_workspace import PackageWorkspace

CONTROL = """\
Source: hostile
Section: misc
Priority: optional
Maintainer: Test <test@localhost>
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: hostile
Architecture: all
Description: a build that means harm
 Or one that does not.
"""
CHANGELOG = """\
hostile (1.0) unstable; urgency=medium

  * A release.

 -- Test <test@localhost>  Thu, 01 Oct 2026 00:00:00 +0000
"""
ATTACK = f"attack-{os.getpid()}.sh"
"""Unique on the machine, so that processes of other test runs are not taken for survivors of this one's builds."""
RULES = """\
#!/usr/bin/make -f
SHELL := /bin/bash
build build-arch build-indep:
	bash ./ATTACK
binary-arch:
binary binary-indep: build
	mkdir -p debian/hostile/DEBIAN debian/hostile/usr/share/hostile
	[ ! -d payload ] || cp -a payload/. debian/hostile/usr/share/hostile/
	dpkg-gencontrol -phostile -Pdebian/hostile
	dpkg-deb --root-owner-group --build debian/hostile ..
	[ ! -e after.sh ] || bash ./after.sh
clean:
""".replace("ATTACK", ATTACK)


class Hostile:
    """Builds one attack after the other, all with one builder."""

    def __init__(self, workspace) -> None:
        self.workspace = workspace
        self.unit = workspace.unit("hostile")
        debian = self.unit / "debian"
        (debian / "source").mkdir(parents=True)
        (self.unit / ".cb").mkdir()
        for name in ("cloud_builder.yml", "build_root.kiwi"):
            text = (workspace.unit("libgreet") / ".cb" / name).read_text()
            (self.unit / ".cb" / name).write_text(text.replace("name: libgreet", "name: hostile"))
        (debian / "control").write_text(CONTROL)
        (debian / "changelog").write_text(CHANGELOG)
        (debian / "source" / "format").write_text("3.0 (native)\n")
        (debian / "rules").write_text(RULES)
        (debian / "rules").chmod(0o755)

    def build(self, attack: str, limits=None, after: str = ""):
        """`attack` runs where the unit would be compiled, `after` when the .deb is there: bash scripts."""
        self._write(attack, after)
        return self.workspace.build("hostile", limits=limits)

    def assignment(self, attack: str, limits):
        """Returns the assignment of a build that is carried out later."""
        self._write(attack, "")
        return self.workspace.assignment("hostile", limits, ())

    def _write(self, attack: str, after: str) -> None:
        (self.unit / ATTACK).write_text(attack + "\n")
        (self.unit / "after.sh").write_text(after + "\n")


@pytest.fixture(scope="session")
def hostile(own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    home = tmp_path_factory.mktemp("hostile", numbered=False)
    (home / "repository").mkdir()
    workspace = PackageWorkspace(home, own_cache)
    workspace.add_examples()
    for other in workspace.unit("").iterdir():
        if other.name != "libgreet":
            shutil.rmtree(other)
    made = Hostile(workspace)
    first = made.build("true")
    assert first.outcome == "success", first.message
    return made


def confined_processes() -> list[str]:
    """Processes below us that are not in our pid namespace."""
    mine, found = Path("/proc/self/ns/pid").readlink(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "pid").readlink() != mine and resource_usage.of_tree(int(process.name)).tasks >= 0:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [command for command in found if ATTACK in command]


@pytest.fixture(autouse=True)
def _the_next_job_is_not_affected(hostile: Hostile) -> Iterator[None]:
    yield
    assert hostile.workspace.leftovers() == []
    assert confined_processes() == []
    finished = hostile.build("true")
    assert finished.outcome == "success", finished.message
