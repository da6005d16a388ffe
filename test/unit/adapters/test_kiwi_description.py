"""The parts of a build_root.kiwi that are read, and the configuration of apt made from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.kiwi import apt
from cloud_builder.adapters.kiwi.description import read
from cloud_builder.errors import Permanent

TEXT = """<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.0" name="root">
  <profiles><profile name="a.x86_64" description="A"/><profile name="b.x86_64" description="B"/></profiles>
  <preferences><version>1.0.0</version><packagemanager>apt</packagemanager><type image="tbz"/></preferences>
  <repository alias="all" distribution="bookworm" components="main contrib" repository_gpgcheck="true">
    <source path="http://deb.example.org/debian"/></repository>
  <repository alias="mine" profiles="a.x86_64"><source path="http://example.org/flat">
    <signing key="this://./mine.asc"/></source></repository>
  <repository alias="theirs" profiles="b.x86_64" repository_gpgcheck="false"><source path="http://example.org/other"/></repository>
</image>
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "build_root.kiwi"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(("profile", "aliases"), [("a.x86_64", ["all", "mine"]), ("b.x86_64", ["all", "theirs"])])
def test_description_has_repositories_of_its_profile_and_of_all_profiles(file, profile, aliases):
    description = read(file, profile)
    assert description.package_manager == "apt"
    assert [repository.alias for repository in description.repositories] == aliases


def test_repository_is_verified_unless_the_description_forbids_it(file):
    assert [(one.keys, one.unverified) for one in read(file, "a.x86_64").repositories] == [
        ((), False),
        (("this://./mine.asc",), False),
    ]
    assert read(file, "b.x86_64").unverified == ("http://example.org/other",)


def test_each_repository_of_a_root_names_its_own_key(file):
    keys = ((Path("/work/keys/cloud-builder-0.gpg"),), (Path("/work/keys/cloud-builder-1.asc"),))
    assert apt.sources(read(file, "a.x86_64"), keys) == (
        "Types: deb\nURIs: http://deb.example.org/debian\nSuites: bookworm\nComponents: main contrib\n"
        "Signed-By: /usr/share/keyrings/cloud-builder-0.gpg\n\n"
        "Types: deb\nURIs: http://example.org/flat\nSuites: ./\nSigned-By: /usr/share/keyrings/cloud-builder-1.asc\n"
    )
    command, _ = apt.finish(read(file, "a.x86_64"), keys, "/root")
    assert command[-3:] == ["/root", "/work/keys/cloud-builder-0.gpg", "/work/keys/cloud-builder-1.asc"]


def test_unverified_repository_is_trusted_by_name(file):
    stanzas = apt.sources(read(file, "b.x86_64"), ((Path("/k/0.gpg"),), ())).split("\n\n")
    assert ["Trusted: yes" in stanza for stanza in stanzas] == [False, True]


@pytest.mark.parametrize(("host", "checked"), [("deb.debian.org", "true"), ("snapshot.debian.org", "false")])
def test_expired_lists_are_used_only_of_a_past_state(file, host, checked):
    file.write_text(TEXT.replace("deb.example.org", host))
    assert apt.options(read(file, "a.x86_64"))["Acquire::Check-Valid-Until"] == checked


def test_nothing_is_left_out_of_a_root(file):
    _, environment = apt.finish(read(file, "a.x86_64"), ((), ()), "/root")
    assert "path-exclude" not in environment["DPKG"]
    assert "man-db/auto-update boolean false" in " ".join(apt.finish(read(file, "a.x86_64"), ((), ()), "/root")[0])


def test_unknown_profile_is_an_error_that_lists_the_profiles(file):
    with pytest.raises(Permanent, match="no profile c") as caught:
        read(file, "c.x86_64")
    assert "a.x86_64, b.x86_64" in caught.value.hint


def test_broken_xml_is_an_error_with_its_line(file):
    file.write_text(TEXT.replace("</profiles>", ""))
    with pytest.raises(Permanent, match="line 10"):
        read(file, "a.x86_64")
