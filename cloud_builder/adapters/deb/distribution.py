"""Finds packages that the distribution has, too, in an equal or a higher version: apt on a client may prefer those.

Input: the package lists of a build root, as apt has downloaded them. Lists that apt has compressed are left out.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from debian.debian_support import NativeVersion

from cloud_builder.ports.recipe import Output

LISTS = "var/lib/apt/lists"
_PACKAGE = b"Package: "
_VERSION = re.compile(rb"^Version: (\S+)$", re.MULTILINE)


def marked(outputs: Sequence[Output], build_root: Path) -> tuple[Output, ...]:
    """Returns the outputs; a package is marked with the version that the distribution has, if that is not lower."""
    names = {output.package.name for output in outputs if output.package and not output.package.debug_symbols}
    highest: dict[str, str] = {}
    for path in sorted((build_root / LISTS).glob("*_Packages")) if names else ():
        for name, version in _versions(path, names):
            if name not in highest or NativeVersion(version) > NativeVersion(highest[name]):
                highest[name] = version
    return tuple(_marked(output, highest) for output in outputs)


def _marked(output: Output, highest: Mapping[str, str]) -> Output:
    package = output.package
    if package is None or package.name not in highest:
        return output
    version = highest[package.name]
    if NativeVersion(version) < NativeVersion(package.version):
        return output
    return replace(output, package=package.model_copy(update={"in_distribution": version}))


def _versions(path: Path, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yields name and version of the packages with these names in a list, whose stanzas begin with Package."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        start = len(_PACKAGE) if text[: len(_PACKAGE)] == _PACKAGE else -1
        while start >= 0:
            end = text.find(b"\n", start)
            name = text[start:end].decode(errors="replace")
            if name in names:
                version = _VERSION.search(text[start : text.find(b"\n\n", end)])
                if version:
                    yield name, version[1].decode(errors="replace")
            next_stanza = text.find(b"\n\n" + _PACKAGE, end)
            start = next_stanza + 2 + len(_PACKAGE) if next_stanza >= 0 else -1
