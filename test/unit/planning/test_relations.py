"""What a relation field asks for, and which of our artifacts a build gets."""

import pytest

from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.ids import Digest
from cloud_builder.planning.relations import closure, needed, provided


@pytest.mark.parametrize(
    ("relations", "machine", "groups"),
    [
        ("", "x86_64", ()),
        ("debhelper-compat (= 13), libgreet-dev (>= 1.0)", "x86_64", (("debhelper-compat",), ("libgreet-dev",))),
        ("a | b (>= 2), c", "x86_64", (("a", "b"), ("c",))),
        ("a [amd64], b [!amd64], c [linux-any]", "x86_64", (("a",), ("c",))),
        ("a [amd64] | b [arm64]", "aarch64", (("b",),)),
        ("a <!nocheck>, b <stage1>, c <!cross> <stage1>", "x86_64", (("a",), ("c",))),
        ("python3:any, perl:native", "x86_64", (("python3",), ("perl",))),
        ("a [ ], b | c [ ] <!x>", "x86_64", (("a",), ("b", "c"))),
    ],
)
def test_only_relations_that_count_on_this_machine_are_needed(relations, machine, groups):
    assert needed(relations, machine) == groups


def deb(name: str, *, depends: str = "", provides: str = "", digest: str = "") -> Artifact:
    package = BinaryPackage(name=name, version="1", architecture="amd64", depends=depends, provides=provides)
    sha256 = Digest((digest or name).encode().hex().ljust(64, "0")[:64])
    return Artifact(name=f"{name}_1_amd64.deb", sha256=sha256, size=1, kind=ArtifactKind.DEB, package=package)


def names(artifacts):
    return [artifact.package.name for artifact in artifacts]


def test_closure_follows_what_the_packages_themselves_depend_on():
    ours = provided([deb("libgreet-dev", depends="libgreet1 (= 1), libc6"), deb("libgreet1"), deb("other")])
    assert names(closure("libgreet-dev, debhelper", "x86_64", ours.get)) == ["libgreet-dev", "libgreet1"]


def test_a_virtual_package_brings_the_real_one_and_a_real_name_wins():
    ours = provided([deb("exim", provides="mail-agent (= 4)"), deb("mail-agent")])
    assert names(closure("mail-agent", "x86_64", ours.get)) == ["mail-agent"]
    assert names(closure("smtp", "x86_64", provided([deb("exim", provides="smtp")]).get)) == ["exim"]


def test_packages_that_depend_on_each_other_end():
    ours = provided([deb("a", depends="b"), deb("b", depends="a")])
    assert names(closure("a", "x86_64", ours.get)) == ["a", "b"]
