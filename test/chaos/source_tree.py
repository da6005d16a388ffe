"""The git repository that is built under faults: many small units with edges between them, in a few variants.

The same number of units gives the same commits each time, so that a run without faults gives the expected result.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

SOURCE = "chaos"
VARIANTS = ("main", "variant-1", "variant-2", "variant-3")
"""`main` is moved to the others during a run; each differs from `main` in some units."""
RECOVERY = "recovery"
"""Differs in all units without needs: for the last act."""
ALL = (*VARIANTS, RECOVERY)
SUCCESSION = "succession"
"""Another such one, for the last act where there are two schedulers."""

_BUILD_ROOT = """\
<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.0" name="build_root">
  <profiles><profile name="bookworm.{arch}" description="never prepared"/></profiles>
</image>
"""
_MANIFEST = """\
schema_version: 1.0
name: {name}
distributions:
  - {{dist: bookworm, arch: {arch}}}
"""
_CHANGELOG = """\
{name} (1.{version}-1) bookworm; urgency=medium

  * Made for a test.

 -- Nobody <nobody@example.org>  Thu, 01 Oct 2026 09:00:00 +0000
"""
_CONTROL = """\
Source: {name}
Section: misc
Priority: optional
Maintainer: Nobody <nobody@example.org>
Build-Depends: {needs}
Standards-Version: 4.6.2

Package: {name}
Architecture: all
Description: made for a test
 It is never really built.
"""


_RULES = """\
#!/usr/bin/make -f
build build-arch build-indep: done
done:
	mkdir -p debian/{name}/DEBIAN debian/{name}/usr/share/{name}
	for second in 1 2 3; do echo second $$second; sleep 1; done
	cp content debian/{name}/usr/share/{name}/
	touch done
binary-arch:
binary binary-indep: build
	dpkg-gencontrol -p{name} -Pdebian/{name}
	dpkg-deb --root-owner-group --build debian/{name} ..
clean:
"""
_EXAMPLE = Path(__file__).parents[2] / "sources-example" / "projects" / "packages" / "libgreet" / ".cb"


def needs_of(number: int) -> list[int]:
    """A graph with width and depth: in four columns, each unit needs one or two above it."""
    if number < 4:
        return []
    return sorted({number - 4, (number * 7) % (number - 3)})


class SourceTree:
    """The repository at `path`, with a branch of each variant. `start` puts `main` back to the first.

    `real`: the packages can be built."""

    def __init__(self, path: Path, units: int, *, real: bool = False) -> None:
        self.path, self.units, self._real = path, [f"u{number:02d}" for number in range(units)], real
        path.mkdir(parents=True)
        self._git("init", "-q", "-b", "main")
        for number, name in enumerate(self.units):
            self._write(number, name)
        self._commit("all units")
        self._first = self._git("rev-parse", "HEAD")
        changed = ((1,), (units // 2,), (2, units - 1), (0, 1, 2, 3), (0, 1, 2, 3))
        for variant, chosen in zip((*ALL[1:], SUCCESSION), changed, strict=True):
            self._git("checkout", "-q", "-B", variant, self._first)
            for number in chosen:
                self._write(number, self.units[number], variant)
            self._commit(variant)
        self._git("checkout", "-q", "--detach", self._first)

    def start(self) -> None:
        self._git("update-ref", "refs/heads/main", self._first)

    def push(self, variant: str) -> None:
        """`main` becomes that variant."""
        self._git("update-ref", "refs/heads/main", variant if variant != "main" else self._first)

    def _write(self, number: int, name: str, variant: str = "") -> None:
        directory = self.path / "projects" / "packages" / name
        common = "libc6" if self._real else "debhelper-compat (= 13)"
        needs = ", ".join([common, *(self.units[need] for need in needs_of(number))])
        arch = platform.machine()
        files = {
            ".cb/cloud_builder.yml": _MANIFEST.format(name=name, arch=arch),
            ".cb/build_root.kiwi": _BUILD_ROOT.format(arch=arch),
            "debian/control": _CONTROL.format(name=name, needs=needs),
            "debian/changelog": _CHANGELOG.format(name=name, version=number),
            "debian/source/format": "3.0 (native)\n",
            "content": f"{name} {variant}\n",
        }
        if self._real:
            files[".cb/build_root.kiwi"] = (_EXAMPLE / "build_root.kiwi").read_text()
            files["debian/rules"] = _RULES.format(name=name)
        for path, text in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
            (directory / path).chmod(0o755 if path == "debian/rules" else 0o644)

    def _commit(self, message: str) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "-m", message)

    def _git(self, *words: str) -> str:
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
        command = ["git", "-C", str(self.path), *words]
        done = subprocess.run(command, env={**os.environ, **who}, check=True, capture_output=True, text=True)
        return done.stdout.strip()


_WHO = {"NAME": "Tester", "EMAIL": "tester@example.org", "DATE": "2026-01-02T03:04:05Z"}
