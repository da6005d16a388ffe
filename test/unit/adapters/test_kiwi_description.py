"""The parts of a build_root.kiwi that are read, and the sources.list made from them."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.kiwi.apt import sources_list
from cloud_builder.adapters.kiwi.description import read
from cloud_builder.errors import Permanent

TEXT = """<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.0" name="root">
  <profiles><profile name="a.x86_64" description="A"/><profile name="b.x86_64" description="B"/></profiles>
  <preferences><version>1.0.0</version><packagemanager>apt</packagemanager><type image="tbz"/></preferences>
  <repository alias="all" distribution="bookworm" components="main contrib" repository_gpgcheck="true">
    <source path="http://deb.example.org/debian"/></repository>
  <repository alias="mine" profiles="a.x86_64"><source path="http://example.org/flat"/></repository>
  <repository alias="theirs" profiles="b.x86_64"><source path="http://example.org/other"/></repository>
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


def test_repositories_become_lines_of_a_sources_list(file):
    assert sources_list(read(file, "a.x86_64").repositories).splitlines() == [
        "deb [check-valid-until=no] http://deb.example.org/debian bookworm main contrib",
        "deb [check-valid-until=no trusted=yes] http://example.org/flat ./",
    ]


def test_unknown_profile_is_an_error_that_lists_the_profiles(file):
    with pytest.raises(Permanent, match="no profile c") as caught:
        read(file, "c.x86_64")
    assert "a.x86_64, b.x86_64" in caught.value.hint


def test_broken_xml_is_an_error_with_its_line(file):
    file.write_text(TEXT.replace("</profiles>", ""))
    with pytest.raises(Permanent, match="line 9"):
        read(file, "a.x86_64")
