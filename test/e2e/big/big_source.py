"""Git repositories for the big tests: units that do what a line of shell says, and a forest of many tiny ones."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "sources-example" / "projects" / "packages" / "libgreet"
"""Its build root is the one that other tests have prepared already."""
_MANIFEST = "schema_version: 1.0\nname: {name}\ndistributions: [{{dist: bookworm, arch: {arch}}}]\n"
_CONTROL = """\
Source: {name}
Section: misc
Priority: optional
Maintainer: Nobody <nobody@example.org>
Build-Depends: {needs}
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: {name}
Architecture: all
Description: made for a test
"""
_CHANGELOG = """\
{name} (1.0) bookworm; urgency=medium

  * Made for a test.

 -- Nobody <nobody@example.org>  Thu, 01 Oct 2026 09:00:00 +0000
"""
_RULES = """\
#!/usr/bin/make -f
build build-arch build-indep: done
done:
	mkdir -p debian/{name}/DEBIAN debian/{name}/usr/share/{name}
	bash ./work.sh
	touch done
binary-arch:
binary binary-indep: build
	dpkg-gencontrol -p{name} -Pdebian/{name}
	dpkg-deb --root-owner-group -Znone --build debian/{name} ..
clean:
"""
_WHO = {"NAME": "Tester", "EMAIL": "tester@example.org", "DATE": "2026-01-02T03:04:05Z"}


@dataclass(frozen=True)
class Unit:
    """A Debian package whose build is `work`, a line of bash. `needs`: other units."""

    name: str
    work: str = "true"
    needs: tuple[str, ...] = ()

    def files(self) -> Iterator[tuple[str, str]]:
        needs = ", ".join(("libc6", *self.needs))
        yield ".cb/cloud_builder.yml", _MANIFEST.format(name=self.name, arch=platform.machine())
        yield ".cb/build_root.kiwi", (EXAMPLE / ".cb" / "build_root.kiwi").read_text()
        yield "debian/control", _CONTROL.format(name=self.name, needs=needs)
        yield "debian/changelog", _CHANGELOG.format(name=self.name)
        yield "debian/source/format", "3.0 (native)\n"
        yield "debian/rules", _RULES.format(name=self.name)
        yield "work.sh", f"set -e\n{self.work}\n"


def forest(units: int) -> list[Unit]:
    """One in ten stands alone; each of the others needs one or two of those."""
    low = max(1, units // 10)
    needs = ((f"u{number % low:03}", f"u{number * 7 % low:03}") if number >= low else () for number in range(units))
    return [Unit(f"u{number:03}", needs=tuple(dict.fromkeys(names))) for number, names in enumerate(needs)]


def write(path: Path, *units: Unit) -> None:
    """A repository with these units, committed."""
    for unit in units:
        for name, text in unit.files():
            file = path / "projects" / "packages" / unit.name / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if name == "debian/rules" else 0o644)
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "units")):
        subprocess.run(["git", "-C", str(path), *words], env={**os.environ, **who}, check=True)
