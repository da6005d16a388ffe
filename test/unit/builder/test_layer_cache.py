"""The key of a dependency layer: inputs that change it, and inputs that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloud_builder.builder.layer_cache import layer_key
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.ids import Digest
from cloud_builder.ports.recipe import PackageSource

SOURCE = PackageSource("greet", "1.2", Path("/a"), "tree", build_depends=(("Build-Depends", "libgreet-dev"),))
A, B = (Artifact(name=f"{n}.deb", sha256=Digest(n * 64), size=1, kind=ArtifactKind.DEB) for n in "ab")


def key(recipe="deb-1", root="r", arch="x86_64", source=SOURCE, artifacts=(A, B)) -> str:
    return layer_key(recipe, root, arch, source, artifacts)


@pytest.mark.parametrize(
    "same",
    [
        {"artifacts": (B, A)},
        {"artifacts": (A, B, A)},
        {"source": replace(SOURCE, name="other", version="2", directory=Path("/b"), epoch=1)},
    ],
)
def test_equal_installations_share_a_layer(same: dict) -> None:
    assert key(**same) == key()


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": "deb-2"},
        {"root": "q"},
        {"arch": "aarch64"},
        {"artifacts": (A,)},
        {"source": replace(SOURCE, build_depends=(("Build-Depends", "libgreet-dev (>= 2)"),))},
        {"source": replace(SOURCE, build_depends=(("Build-Conflicts", "libgreet-dev"),))},
    ],
)
def test_different_installations_have_different_layers(other: dict) -> None:
    assert key(**other) != key()
