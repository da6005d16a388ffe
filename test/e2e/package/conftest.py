"""The workspace of the package tests, and the units that they build."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_builder.model.events import AttemptFinished
from e2e.package.package_workspace import PackageWorkspace


@pytest.fixture(scope="session")
def new_workshop(own_cache: Path, tmp_path_factory: pytest.TempPathFactory):
    def make(name: str) -> PackageWorkspace:
        home = tmp_path_factory.mktemp(name, numbered=False)
        (home / "repository").mkdir()
        return PackageWorkspace(home, own_cache)

    return make


@pytest.fixture(scope="session")
def workshop(new_workshop) -> PackageWorkspace:
    made: PackageWorkspace = new_workshop("workshop")
    made.take_examples()
    return made


@pytest.fixture(scope="session")
def libgreet(workshop: PackageWorkspace) -> AttemptFinished:
    return workshop.build("libgreet")


@pytest.fixture(scope="session")
def greet(workshop: PackageWorkspace, libgreet: AttemptFinished) -> AttemptFinished:
    return workshop.build("greet", libgreet)


@pytest.fixture
def unit(workshop: PackageWorkspace) -> Iterator[Path]:
    """libgreet's directory under another name, to be broken."""
    directory = workshop.unit("broken")
    shutil.copytree(workshop.unit("libgreet"), directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(workshop: PackageWorkspace) -> Iterator[None]:
    yield
    assert workshop.left_behind() == []
