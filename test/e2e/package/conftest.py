"""The workspace of the package tests, and the units that they build."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_builder.model.events import AttemptFinished
from e2e.package.package_workspace import PackageWorkspace


@pytest.fixture(scope="session")
def new_workspace(own_cache: Path, tmp_path_factory: pytest.TempPathFactory):
    def make(name: str) -> PackageWorkspace:
        home = tmp_path_factory.mktemp(name, numbered=False)
        (home / "repository").mkdir()
        return PackageWorkspace(home, own_cache)

    return make


@pytest.fixture(scope="session")
def workspace(new_workspace) -> PackageWorkspace:
    workspace: PackageWorkspace = new_workspace("workspace")
    workspace.add_examples()
    return workspace


@pytest.fixture(scope="session")
def libgreet(workspace: PackageWorkspace) -> AttemptFinished:
    return workspace.build("libgreet")


@pytest.fixture(scope="session")
def greet(workspace: PackageWorkspace, libgreet: AttemptFinished) -> AttemptFinished:
    return workspace.build("greet", libgreet)


@pytest.fixture
def unit(workspace: PackageWorkspace) -> Iterator[Path]:
    """A copy of libgreet in another directory, for a test to break."""
    directory = workspace.unit("broken")
    shutil.copytree(workspace.unit("libgreet"), directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(workspace: PackageWorkspace) -> Iterator[None]:
    yield
    assert workspace.leftovers() == []
