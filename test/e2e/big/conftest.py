"""Big and long: a small form for every day, and with CB_BIG=1 (`make big`) the sizes of doc/reference/limits.md.

Everything is driven by cb-ctl on real daemons. What was measured is printed (`pytest -rP`)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.big.big_sizes import FULL, Sizes
from e2e.big.big_source import Unit, write
from support.ctl_mesh import Account, CtlMesh
from support.kafka_server import find_server


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    return FULL if os.environ.get("CB_BIG") else Sizes()


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """On a disk: /tmp may be memory."""
    path = Path(tempfile.mkdtemp(prefix="cb-big-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def new_broker(sizes: Sizes) -> Iterator[Callable[[], str]]:
    """Makes brokers, one for each mesh, as `cb-ctl up --broker` wants to hear of them."""
    servers = []

    def make() -> str:
        if not sizes.kafka:
            return "embedded"
        servers.append(find_server())
        servers[-1].start()
        return str(servers[-1].settings.bootstrap)

    yield make
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def long_lived(sizes: Sizes, directory: Path, own_cache: Path, new_broker: Callable[[], str]) -> Iterator[CtlMesh]:
    """A mesh with one runner that really builds, and a lease (12 s) shorter than what it builds takes."""
    write(directory / "source", *_units(sizes))
    settings = {"CB_RUNNER__LIMITS": '{"silence": 60}'}
    settings["CB_REQUEST__BUILD_ON_PUSH"] = "0"
    mesh = CtlMesh(directory / "home", own_cache, broker=new_broker(), account=Account(), settings=settings)
    mesh.up(big=directory / "source")
    try:
        yield mesh
    finally:
        mesh.down()


def _units(sizes: Sizes) -> list[Unit]:
    heavy = f"head -c {sizes.artifact} /dev/urandom > debian/heavy/usr/share/heavy/blob"
    # The last line has a letter of two bytes and a byte that is no letter at all.
    chatty = (
        f"seq -f '%012.0f is the number of a line of a long log' 1 {sizes.log // 48}; printf 'gr\\303\\274n \\377\\n'"
    )
    patient = f"for second in $(seq {sizes.seconds}); do echo second $second; sleep 1; done"
    lifter = Unit("lifter", "test -s /usr/share/heavy/blob", needs=("heavy",))
    return [Unit("heavy", heavy), lifter, Unit("chatty", chatty), Unit("patient", patient)]
