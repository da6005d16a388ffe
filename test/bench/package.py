"""package.*: a whole job on a warm root, from the assignment to the uploaded packages.

Beside dpkg-buildpackage alone, in the same root with the same layer, and beside sbuild in unshare mode. Both of ours
and the bare build have the build dependencies there already; sbuild installs them each time, as it does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from bench import sbuild
from bench.debian_sources import FILES, fetched
from bench.figures import Figure, figure
from bench.local_builder import DESCRIPTION, TARGET, LocalBuilder
from bench.processes import Skipped, directory
from cloud_builder.adapters.deb import build_commands, source
from cloud_builder.ports.sandbox import Bind, Confinement

BARE = "dpkg-buildpackage in the same root"


def measure(progress, scale: float = 1.0) -> Iterator[Figure]:
    runs = max(1, round(3 * scale))
    for name in FILES:
        with directory("package") as home:
            workshop = LocalBuilder(home, os.cpu_count() or 1)
            unit = workshop.take(name)
            workshop.build(name)
            ours = [_whole(workshop, name) for _ in range(runs)]
            bare = [_bare(workshop, unit) for _ in range(runs)]
        yield figure(f"package.{name}", ours, "s", bare, BARE)
        yield figure(f"package.{name}/overhead", [a - b for a, b in zip(ours, bare, strict=True)], "s")
        try:
            theirs = [sbuild.build(fetched(name)) for _ in range(max(1, runs - 1))]
        except Skipped as why:
            progress(f"left out: {name} in sbuild: {why}")
        else:
            yield figure(f"package.{name}/sbuild", ours, "s", theirs, "sbuild in unshare mode")


def _whole(workshop: LocalBuilder, name: str) -> float:
    started = time.monotonic()
    workshop.build(name)
    return time.monotonic() - started


def _bare(workshop: LocalBuilder, unit: Path) -> float:
    """Returns the seconds of dpkg-buildpackage, measured inside the sandbox: the cost of the sandbox is not its own."""
    found, root = source.read_source(unit), _root(workshop)
    uppers = tuple(sorted((workshop.work / "layers").glob("[0-9a-f]*/upper")))
    tree, output = build_commands.tree_of(found), bytearray()
    script = (
        f"set -e; dpkg-source --no-copy -x /source/{found.files[0]} {tree} >&2; cd {tree}; "
        "started=$EPOCHREALTIME; dpkg-buildpackage -b -us -uc >&2; ended=$EPOCHREALTIME; "
        'echo "SECONDS $(( (${ended/./} - ${started/./}) ))"'
    )
    built = build_commands.build(found, os.cpu_count() or 1)
    confinement = Confinement(
        layers=(root, *uppers),
        binds=(Bind(unit, build_commands.SOURCE),),
        uid=built.uid,
        directory=str(build_commands.BUILD),
        environment=built.environment,
    )
    ended = workshop.sandbox.run(["bash", "-c", script], confinement, output=output.extend, cancel=Event())
    if ended.status != 0:
        raise RuntimeError(f"the bare build ended with {ended.status}:\n{output.decode(errors='replace')[-3000:]}")
    line = next(line for line in output.decode(errors="replace").splitlines() if line.startswith("SECONDS "))
    return int(line.split()[1]) / 1e6


def _root(workshop: LocalBuilder) -> Path:
    return workshop.roots.acquire(DESCRIPTION, TARGET.name, "", lambda piece: None, Event()).path
