"""`cb-ctl list packages`: what the indices of the repositories list."""

from __future__ import annotations

import gzip

import pytest

from cloud_builder.cli import packages
from cloud_builder.errors import ExitCode
from cloud_builder.model import events as e
from support.info_mesh import InfoMesh, json_output, output

URL = "http://h/repositories/demo-bookworm"
RELEASE = """Suite: bookworm
SHA256:
 0 1 main/binary-all/Packages.gz
 0 1 main/binary-amd64/Packages.gz
 0 1 main/binary-amd64/Packages
 0 1 debug/binary-amd64/Packages.gz
 0 1 main/debian-installer/binary-amd64/Packages.gz
"""
ALL = "Package: hello-data\nVersion: 1.0\nArchitecture: all\nSource: hello (1.0)\nDescription: x\n Package: no\n"
HELLO = "Package: hello\nVersion: 1.0+cb1\nArchitecture: amd64\nSource: hello (1.0)\n"
UDEB = "Package: hello-udeb\nVersion: 1.0\nArchitecture: amd64\nSource: hello\n"
FILES = {
    "demo-bookworm.sources": b"Types: deb\nURIs: x\nSuites: bookworm\nSigned-By:\n KEY: x\n",
    "dists/bookworm/Release": RELEASE.encode(),
    "dists/bookworm/main/binary-all/Packages.gz": gzip.compress(ALL.encode()),
    "dists/bookworm/main/binary-amd64/Packages.gz": gzip.compress(f"{ALL}\n{HELLO}".encode()),
    "dists/bookworm/main/debian-installer/binary-amd64/Packages.gz": gzip.compress(UDEB.encode()),
}


@pytest.fixture(autouse=True)
def published(mesh: InfoMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "bytes_at", lambda url: FILES[url.removeprefix(f"{URL}/")])
    mesh.send(e.RepositoryPublished(repository="demo-bookworm", snapshot="1", url=URL, jobs=(), packages=3, at=1.0))


def test_each_package_is_listed_once_with_its_version_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json_output(capsys, "list", "packages")
    assert [(row["package"], row["version"], row["architecture"], row["source"]) for row in rows] == [
        ("hello-data", "1.0", "all", "hello"),
        ("hello", "1.0+cb1", "amd64", "hello"),
        ("hello-udeb", "1.0", "amd64", "hello"),
    ]
    assert "1.0+cb1" in output(capsys, "list", "packages", "--repository", "demo-bookworm")


def test_packages_are_selected_by_name_or_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(json_output(capsys, "list", "packages", "hello-data")) == 1
    assert len(json_output(capsys, "list", "packages", "hello")) == 3
    text = output(capsys, "list", "packages", "helo", code=ExitCode.REJECTED)
    assert "Did you mean hello?" in text
    text = output(capsys, "list", "packages", "--repository", "demo-bookwrm", code=ExitCode.REJECTED)
    assert "Did you mean demo-bookworm?" in text
