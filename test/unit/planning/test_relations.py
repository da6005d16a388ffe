"""What a relation field asks for, and which of our artifacts a build gets."""

import pytest

from cloud_builder.planning.inputs.closure import closure, find_in
from cloud_builder.planning.relations import Alternative, needed
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
def test_only_relations_that_count_on_this_machine_are_needed(relations, machine, groups):
    assert tuple(tuple(each.name for each in group) for group in needed(relations, machine)) == groups


def names(artifacts):
    return [artifact.package.name for artifact in artifacts]


def test_closure_follows_what_the_packages_themselves_depend_on():
    ours = find_in([deb("libgreet-dev", depends="libgreet1 (= 1), libc6"), deb("libgreet1"), deb("other")])
    assert names(closure("libgreet-dev, debhelper", "x86_64", ours)) == ["libgreet-dev", "libgreet1"]


def test_a_virtual_package_brings_the_real_one_and_a_real_name_wins():
    ours = find_in([deb("exim", provides="mail-agent (= 4)"), deb("mail-agent")])
    assert names(closure("mail-agent", "x86_64", ours)) == ["mail-agent"]
    assert names(closure("smtp", "x86_64", find_in([deb("exim", provides="smtp")]))) == ["exim"]


def test_packages_that_depend_on_each_other_end():
    ours = find_in([deb("a", depends="b"), deb("b", depends="a")])
    assert names(closure("a", "x86_64", ours)) == ["a", "b"]


@pytest.mark.parametrize(
    ("provides", "relation", "given"),
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
def test_a_package_is_given_only_in_a_version_that_is_asked_for(provides, relation, given):
    assert bool(closure(relation, "x86_64", find_in([deb("exim", provides=provides)]))) == given


def test_what_a_package_depends_on_is_given_in_its_version():
    ours = [deb("lib-dev", depends="lib1 (= 2)"), deb("lib1"), deb("lib2", provides="lib1 (= 2)")]
    assert names(closure("lib-dev", "x86_64", find_in(ours))) == ["lib-dev", "lib2"]


def test_what_is_no_version_fits():
    assert Alternative("a", ">=", "1").fits("") and Alternative("a", ">=", "~:~").fits("1")
