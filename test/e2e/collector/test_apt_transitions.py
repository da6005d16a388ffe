"""A machine that upgrades from each snapshot of a changing chain of libraries: real apt, packages without a build.

`CB_PUSHES` pushes change the chain, a quarter of the builds fail (`make transitions`: 30 pushes)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from debian.deb822 import Deb822

from cloud_builder.adapters import process
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing
from support.apt_client import Apt
from support.library_chain import UNITS, Distribution, newest_packages

NAME = RepositoryName("demo-bookworm")
START = 1_790_000_000
PUSHES = int(os.environ.get("CB_PUSHES", "4"))
CHOSEN = tuple(f"lib{number}-dev" for number in range(UNITS))
"""What the machine's user has installed; everything else came with it."""


class Machine:
    """A machine by its list of installed packages, which real apt reads. Packages are downloaded, not unpacked."""

    def __init__(self, apt: Apt) -> None:
        self._apt, self.installed = apt, dict[str, Deb822]()
        self.upgrades = 0

    def install(self) -> None:
        self._apply("install", *CHOSEN)

    def upgrade(self) -> None:
        """Upgrades as `apt-get update && apt-get dist-upgrade`, then removes what nothing needs any longer."""
        update = self._apt.update()
        assert update.status == 0, update.last_lines()
        self._apply("dist-upgrade")
        self.upgrades += 1

    def _apply(self, *command: str) -> None:
        plan = self._apt.run("apt-get", "--simulate", *command).text
        removed = set(re.findall(r"^Remv (\S+)", plan, re.MULTILINE))
        assert "kept back" not in plan and not removed & self._offered(), plan
        self._apt.run("apt-get", "--yes", "--download-only", *command)
        for file in (self._apt.path / "cache/archives").glob("*.deb"):
            control = Deb822(process.run(["dpkg-deb", "--field", file]).text)
            self.installed[control["Package"]] = control
            file.unlink()
        self._remove_unneeded()
        paragraphs = (f"{control.dump()}Status: install ok installed\n" for control in self.installed.values())
        (self._apt.path / "state/status").write_text("\n".join(paragraphs))

    def _offered(self) -> set[str]:
        """Returns the packages of the repository. apt may remove libraries of an earlier name, which are not in it."""
        available = self._apt.run("apt-cache", "dumpavail").text
        return set(re.findall(r"^Package: (\S+)", available, re.MULTILINE))

    def _remove_unneeded(self) -> None:
        needed, todo = set[str](), list(CHOSEN)
        while todo:
            name = todo.pop()
            needed.add(name)
            depends = self.installed[name].get("Depends", "")
            todo += [word for word in [depends.partition(" ")[0]] if word and word not in needed]
        self.installed = {name: self.installed[name] for name in sorted(needed)}


class PublishedDistribution(Distribution):
    """Writes each snapshot, and lets the machine upgrade from it."""

    def __init__(self, seed: int, repositories: Any) -> None:
        self._repositories, self._listed, self.machine = repositories, tuple[Artifact, ...](), None
        super().__init__(seed, self._deb)

    def check(self) -> None:
        super().check()
        packages = sorted((key[1], self.published.get(key)) for key in self.published)
        listed = tuple(package.artifact for _, package in packages if package is not None)
        if listed != self._listed:
            self._listed = listed
            at = START + 10 * self.sequence
            self._repositories.repositories.publish(SnapshotListing(NAME, "bookworm", {"amd64": listed}), at=at)
            if self.machine is not None:
                self.machine.upgrade()

    def _deb(self, name: str, version: str, content: str, depends: str) -> Artifact:
        fields = f"Depends: {depends}\n" if depends else ""
        deb: Artifact = self._repositories.deb(name, version, text=content, fields=fields)
        return deb


def test_machine_upgrades_from_every_snapshot(repositories: Any, server: Any, tmp_path: Path) -> None:
    distribution = PublishedDistribution(7, repositories)
    failures, distribution.failures = distribution.failures, 0.0
    distribution.build_all()
    sources = (repositories.root / NAME / f"{NAME}.sources").read_text()
    apt = Apt(tmp_path / "apt", sources.replace("http://127.0.0.1/", f"{server.url}/").encode())
    apt.update()
    distribution.machine = Machine(apt)
    distribution.machine.install()
    distribution.failures = failures
    distribution.run(PUSHES)
    distribution.failures = 0.0
    distribution.build_all()
    newest = {name: listed.package.version for name, listed in newest_packages(distribution.contents).items()}
    assert {name: str(control["Version"]) for name, control in distribution.machine.installed.items()} == newest
    assert distribution.machine.upgrades > PUSHES
