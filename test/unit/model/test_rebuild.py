"""Tests of rebuild suffixes: dpkg takes a rebuild for newer than its version, and for older than the next one."""

from __future__ import annotations

import itertools
import subprocess

import pytest

from cloud_builder.model.rebuild import DEFAULT_SUFFIX, Rebuild, suffix_error


@pytest.mark.parametrize("pattern", [DEFAULT_SUFFIX, "build{n}", "+a{n}", "+~r{n}"])
def test_suffix_is_accepted_when_it_sorts_before_later_versions(pattern):
    assert suffix_error(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("", "must be letters"),
        ("+cb", "must be letters"),
        ("{n}", "must be letters"),
        ("1{n}", "must be letters"),
        ("+cb1{n}", "must be letters"),
        ("-cb{n}", "must be letters"),
        ("+cb {n}", "must be letters"),
        ("~r{n}", "does not take 1.0~r1 for newer than 1.0"),
        ("+x{n}", "does not take 1.0+deb12u1 for newer than 1.0+x10"),
        (".r{n}", "does not take 1.0.1 for newer than 1.0.r10"),
        ("+b{n}", "keeps it out of ${source:Version}"),
    ],
)
def test_suffix_is_refused_with_the_cause(pattern, cause):
    assert cause in suffix_error(pattern)


@pytest.mark.parametrize(
    "version", ["1.0", "1.0-1", "1:2.0+dfsg-1", "1.0-1~bpo12+1", "1.0-1+deb12u1", "1.0~rc1", "2:1.0-1.1"]
)
def test_dpkg_takes_each_rebuild_for_newer(version):
    rebuilt = [Rebuild(version=version, number=number).built_version for number in (0, 1, 2, 9, 10, 100)]
    assert rebuilt[0] == version
    for before, after in itertools.pairwise(rebuilt):
        subprocess.run(["dpkg", "--compare-versions", before, "lt", after], check=True)


@pytest.mark.parametrize(
    ("version", "later"),
    [
        ("1.0", "1.0.1"),
        ("1.0", "1.0+deb12u1"),
        ("1.0-1", "1.0-1.1"),
        ("1.0-1", "1.0-1+deb12u1"),
        ("1.0-1", "1.0-2"),
        ("1.0-1~bpo12+1", "1.0-1~bpo12+2"),
        ("1.0-1~bpo12+1", "1.0-1"),
        ("1.0-1+deb12u1", "1.0-1+deb12u2"),
    ],
)
def test_dpkg_takes_the_next_version_of_the_maintainer_for_newer(version, later):
    rebuilt = Rebuild(version=version, number=99).built_version
    subprocess.run(["dpkg", "--compare-versions", rebuilt, "lt", later], check=True)
