"""Relation fields are parsed, and the closure of a build follows them."""

import pytest

from cloud_builder.planning.inputs.closure import closure, find_in
from cloud_builder.planning.relations import Alternative, cached_groups
from support.factories import deb


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
def test_only_relations_that_apply_to_the_machine_are_returned(relations, machine, groups):
    assert tuple(tuple(each.name for each in group) for group in cached_groups(relations, machine)) == groups


def names(artifacts):
    return [artifact.package.name for artifact in artifacts]


def test_closure_follows_dependencies_of_packages():
    built = find_in([deb("libgreet-dev", depends="libgreet1 (= 1), libc6"), deb("libgreet1"), deb("other")])
    assert names(closure("libgreet-dev, debhelper", "x86_64", built)) == ["libgreet-dev", "libgreet1"]


def test_virtual_package_is_resolved_and_a_real_name_is_preferred():
    built = find_in([deb("exim", provides="mail-agent (= 4)"), deb("mail-agent")])
    assert names(closure("mail-agent", "x86_64", built)) == ["mail-agent"]
    assert names(closure("smtp", "x86_64", find_in([deb("exim", provides="smtp")]))) == ["exim"]


def test_closure_ends_when_packages_depend_on_each_other():
    built = find_in([deb("a", depends="b"), deb("b", depends="a")])
    assert names(closure("a", "x86_64", built)) == ["a", "b"]


@pytest.mark.parametrize(
    ("provides", "relation", "is_taken"),
    [
        ("", "exim (= 1)", True),
        ("", "exim (>= 2)", False),
        ("smtp", "smtp", True),
        ("smtp", "smtp (>= 1)", False),
        ("smtp (= 2)", "smtp (>= 2)", True),
        ("smtp (= 2)", "smtp (>> 2)", False),
        ("smtp (= 2), smtp (= 4), exim (= 5)", "smtp (= 4)", True),
        ("smtp (= 2), smtp (= 4), exim (= 5)", "exim (= 5)", True),
        ("smtp (= 2)", "smtp (>= 3) | exim (<< 2)", True),
    ],
)
def test_package_is_taken_only_in_a_version_that_fits(provides, relation, is_taken):
    assert bool(closure(relation, "x86_64", find_in([deb("exim", provides=provides)]))) == is_taken


def test_dependency_of_a_package_is_taken_in_its_version():
    built = [deb("lib-dev", depends="lib1 (= 2)"), deb("lib1"), deb("lib2", provides="lib1 (= 2)")]
    assert names(closure("lib-dev", "x86_64", find_in(built))) == ["lib-dev", "lib2"]


def test_malformed_version_fits():
    assert Alternative("a", ">=", "1").fits("") and Alternative("a", ">=", "~:~").fits("1")
