"""The content of a manifest (`.cb/cloud_builder.yml`): both schema versions as frozen values.

The JSON Schemas for editors are generated from these classes, and `manifest.py` validates with them, so that both
agree. `schema_version` names the version of a file. Files of version 0.1 are read unchanged, for ever.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from .build_profiles import OPTION, PROFILE
from .capacity import Capacity
from .frozen import StrictModel
from .nearest import did_you_mean
from .outcome import Kind
from .unit import Target

ARCHES = (
    "aarch64", "armv6l", "armv7l", "i586", "i686", "loongarch64", "ppc64", "ppc64le", "riscv64", "s390x", "x86_64",
)  # fmt: skip
"""The values of `platform.machine()` on a runner."""

_OTHER_NAMES = {
    "amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "armel": "armv6l",
    "i386": "i686", "x86": "i686", "ppc64el": "ppc64le", "loong64": "loongarch64",
}  # fmt: skip
"""Names that distributions use → names of ARCHES."""

_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"^([0-9]{1,15})\s*([KMGT]?)(i?B)?$")

NAME = r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$"


def _known_arch(arch: str) -> str:
    if arch not in ARCHES:
        other = _OTHER_NAMES.get(arch.casefold())
        hint = f"Did you mean {other}?" if other else did_you_mean(arch, ARCHES)
        message = 'unknown architecture "{arch}"; names are those of platform.machine()'
        raise PydanticCustomError("unknown_arch", message, {"arch": arch, "hint": hint})
    return arch


def _bytes(size: object) -> int:
    found = _SIZE.match(str(size).strip())
    if found is None:
        raise PydanticCustomError("size", "must be a size", {"hint": "Write bytes, or a number with K, M, G or T: 4G."})
    return int(found[1]) * _FACTORS[found[2]]


Name = Annotated[str, Field(pattern=NAME, max_length=128)]
Arch = Annotated[str, AfterValidator(_known_arch), WithJsonSchema({"type": "string", "enum": list(ARCHES)})]
Size = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE.pattern}]}),
]
Profile = Annotated[str, Field(pattern=PROFILE)]
Option = Annotated[str, Field(pattern=OPTION)]
Version01 = Annotated[Literal["0.1"], WithJsonSchema({"enum": [0.1, "0.1"]})]
Version10 = Annotated[
    Literal["1.0"],
    BeforeValidator(lambda version: "1.0" if version == "1" else version),
    WithJsonSchema({"enum": [1.0, "1.0", "1"]}),
]


class PackageTarget(StrictModel):
    """A distribution and an architecture. `dist.arch` is the KIWI profile in build_root.kiwi."""

    dist: Name
    arch: Arch
    runner_group: str = ""
    """Only runners of this group build it; empty: any runner of the architecture."""

    def target(self) -> Target:
        return Target(name=f"{self.dist}.{self.arch}", dist=self.dist, arch=self.arch, runner_group=self.runner_group)


class Selection(StrictModel):
    """An image of an image description, and how KIWI is called for it."""

    name: Name
    profiles: tuple[Name, ...] = ()
    build_arguments: tuple[str, ...] = ()


class ImageTarget(StrictModel):
    """An image to build."""

    arch: Arch
    runner_group: str = ""
    selection: Selection

    def target(self) -> Target:
        return Target(name=f"{self.selection.name}.{self.arch}", arch=self.arch, runner_group=self.runner_group)


class LabTarget(StrictModel):
    """A lab to run."""

    name: Name
    backend: Literal["qemu", "vsphere"] = "qemu"
    runner_group: str = ""

    def target(self) -> Target:
        return Target(name=self.name, runner_group=self.runner_group)


class Constraints(StrictModel):
    """The least that a runner needs for a job of this unit. Sizes in bytes, or as 4G."""

    memory: Size | None = None
    disk: Size | None = None
    cpu: int | None = Field(default=None, ge=1)
    kvm: bool = False
    """The build runs virtual machines with KVM."""
    tags: tuple[Name, ...] = ()
    """Words that the runner has in `runner.tags`."""

    def capacity(self) -> Capacity:
        return Capacity(
            memory=self.memory or 0,
            disk=self.disk or 0,
            cpu=self.cpu or 0,
            kvm=self.kvm,
            tags=tuple(sorted(set(self.tags))),
        )


class Build(StrictModel):
    """Build profiles and options of the unit's packages."""

    profiles: tuple[Profile, ...] = ()
    """Build profiles (deb: DEB_BUILD_PROFILES). `nocheck` and `nodoc` are build options, too."""
    options: tuple[Option, ...] = ()
    """Build options (deb: DEB_BUILD_OPTIONS), as `noopt` or `parallel=1`."""


class Test(StrictModel):
    """Commands that are run after the build, in a root in which the unit's packages are installed."""

    __test__ = False  # not a test of ours: pytest would collect it

    commands: Annotated[tuple[str, ...], Field(min_length=1)]
    packages: tuple[Name, ...] = ()
    """The packages to install; empty: all that the build makes, without those with debug symbols."""


class Manifest(StrictModel):
    """The keys that both versions have. Exactly one section of targets is present; it decides the kind of the unit."""

    schema_version: str
    name: Name
    """The name of the unit's directory."""
    distributions: tuple[PackageTarget, ...] = Field(default=(), min_length=1)
    images: tuple[ImageTarget, ...] = Field(default=(), min_length=1)

    def sections(self) -> dict[str, tuple[PackageTarget | ImageTarget | LabTarget, ...]]:
        """Returns the sections of targets that are present, by key."""
        return {key: getattr(self, key) for key in KIND_OF_SECTION if key in self.model_fields_set}

    @property
    def kind(self) -> Kind:
        return KIND_OF_SECTION[next(iter(self.sections()))]

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(entry.target() for section in self.sections().values() for entry in section)


class Manifest01(Manifest):
    """Schema 0.1."""

    schema_version: Version01


class Manifest10(Manifest):
    """Schema 1.0: adds labs, explicit dependencies, constraints and tests."""

    schema_version: Version10
    labs: tuple[LabTarget, ...] = Field(default=(), min_length=1)
    depends: tuple[str, ...] = ()
    """Paths of units that are built before this one, in addition to those that its packaging names."""
    constraints: Constraints | None = None
    build: Build | None = None
    test: Test | None = None


KIND_OF_SECTION = {"distributions": Kind.PACKAGE, "images": Kind.IMAGE, "labs": Kind.LAB}
VERSIONS: dict[str, type[Manifest01] | type[Manifest10]] = {"0.1": Manifest01, "1.0": Manifest10, "1": Manifest10}
