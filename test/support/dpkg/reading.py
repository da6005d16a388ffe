"""Reads sources as cb-request does and as dpkg's library does (read.pl), each to lines of the same form.

    reading.py [STEP]    compares all sources of the index, or each STEP-th: `make reading`

A source is a stanza of a Sources index. It is read as a *.dsc, and again as a tree: debian/control and
debian/changelog made from it, with its relations as they are written.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.deb.source_layout import read_layout
from cloud_builder.adapters.deb.stanzas import read_stanzas
from cloud_builder.planning.relations import Alternative, groups
from cloud_builder.ports.metadata import Metadata

from .index import sources_index

CONTEXTS = (
    ("x86_64", "amd64", ()),
    ("aarch64", "arm64", ("nocheck", "nodoc")),
    ("armv7l", "armhf", ("cross", "stage1", "nopython")),
    ("i686", "i386", ("noudeb", "nojava", "stage2")),
)
"""Machine, its Debian architecture, active build profiles."""
_BETWEEN, _END, _PART = "\n\x1e\n", "\n\f\n", "\x1f"
_CHANGELOG = "{} ({}) unstable; urgency=medium\n\n  * A change.\n\n -- A B <a@b>  Thu, 01 Oct 2026 08:00:00 +0000\n"
_RELATIONS = ("Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep")


def dscs(index: str) -> list[str]:
    """Returns the stanzas of a Sources index as *.dsc files."""
    return [f"Source: {stanza.removeprefix('Package: ')}\n" for stanza in index.strip("\n").split("\n\n")]


def tree_of(dsc: str) -> tuple[str, str]:
    """Returns debian/control and debian/changelog of a source whose *.dsc is given."""
    (stanza,) = read_stanzas(dsc)
    written = [_as_written(dsc, field) for field in _RELATIONS if field in stanza]
    binaries = []
    packages = stanza.lines("Package-List") or stanza["Binary"].replace(",", "\n").split("\n")
    for package in packages:
        name, *words = package.split()
        listed = [word.removeprefix("arch=").replace(",", " ") for word in words if word.startswith("arch=")]
        binaries.append(f"\nPackage: {name}\nArchitecture: {' '.join(listed) or 'any'}\n")
    control = "".join((f"Source: {stanza['Source']}\n", *written, *binaries))
    return control, _CHANGELOG.format(stanza["Source"], stanza["Version"])


def _as_written(dsc: str, field: str) -> str:
    start = dsc.index(f"\n{field}:") + 1
    end = start
    while True:
        end = dsc.index("\n", end) + 1
        if dsc[end : end + 1] not in (" ", "\t"):
            return dsc[start:end]


def differences(sources: list[str], directory: Path) -> list[str]:
    """Returns what is read in another way than by dpkg, with both readings."""
    of_dscs, of_trees, versions = theirs(sources, directory)
    readings = zip(ours(sources), (*of_dscs, *of_trees), strict=True)
    found = [f"{our}\n{their}".replace(_PART, "; ") for our, their in readings if our != their]
    pairs = [(before.split(" ")[-1], after.split(" ")) for before, after in pairwise(versions)]
    return found + [
        f"{before} {after[0]} {after[1]}"
        for before, after in pairs
        if not Alternative("a", "=" if after[0] == "0" else "<<", after[1]).fits(before)
        or Alternative("a", ">>", after[1]).fits(before)
    ]


def ours(sources: Iterable[str]) -> Iterator[str]:
    """Yields what cb-request reads: of each *.dsc, then of each tree."""
    texts = list(sources)
    for text in texts:
        names = {line.split()[-1] for line in read_stanzas(text)[0].lines("Checksums-Sha256")}
        layout = read_layout(names, lambda _, text=text: text.encode())
        metadata = DebMetadata().read(names, lambda _, text=text: text.encode())
        yield _line([layout.name, layout.version], metadata)
    for text in texts:
        control, changelog = tree_of(text)
        files = {"debian/control": control, "debian/changelog": changelog, "debian/source/format": "3.0 (native)\n",
                 "debian/rules": ""}  # fmt: skip
        layout = read_layout({"debian"}, lambda name, files=files: files[name].encode())
        metadata = DebMetadata().read({"debian"}, lambda name, files=files: files[name].encode())
        yield _line([layout.name, layout.version, str(layout.epoch)], metadata)


def _line(start: list[str], metadata: Metadata) -> str:
    arches = [f"{name}={','.join(words)}" for name, words in metadata.architectures.items() if words]
    relations = [
        ",".join("|".join(map(_alternative, group)) for group in groups(metadata.build_depends, machine, profiles))
        for machine, _, profiles in CONTEXTS
    ]
    return _PART.join([*start, " ".join(metadata.provides), " ".join(arches), *relations])


def _alternative(alternative: Alternative) -> str:
    return " ".join(filter(None, alternative))


def theirs(sources: Iterable[str], directory: Path) -> tuple[list[str], list[str], list[str]]:
    """Returns what dpkg reads: of each *.dsc; of each tree; all versions in their order.

    A version but the first has `0 ` or `-1 ` before it: how the one before it compares with it."""
    texts = list(sources)
    (directory / "dscs").write_text("\n".join(texts), encoding="utf-8")
    trees = "".join(_BETWEEN.join(tree_of(text)) + _END for text in texts)
    (directory / "trees").write_text(trees, encoding="utf-8")
    contexts = [" ".join((architecture, *profiles)) for _, architecture, profiles in CONTEXTS]
    paths = [directory / name for name in ("dscs", "trees", "read")]
    script = Path(__file__).parent / "read.pl"
    subprocess.run(["perl", script, *paths, *contexts], check=True, stderr=subprocess.PIPE)
    first, second, versions = (directory / "read").read_text(encoding="utf-8").split("\f\n")
    return first.split("\n")[:-1], second.split("\n")[:-1], versions.split("\n")[:-1]


def main() -> None:
    sources = dscs(sources_index())[:: int(*sys.argv[1:2] or "1")]
    with TemporaryDirectory() as directory:
        found = differences(sources, Path(directory))
    sys.stdout.write("\n".join([*found, f"{len(sources)} sources, {len(found)} differences\n"]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
