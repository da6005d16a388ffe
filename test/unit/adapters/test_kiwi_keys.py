"""Keys of package repositories: where they come from, which are refused, and what KIWI gets."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cloud_builder.adapters.kiwi import keys
from cloud_builder.adapters.kiwi.description import parse
from cloud_builder.errors import Permanent, Retryable

ARMORED = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n-----END PGP PUBLIC KEY BLOCK-----\n"
BINARY = bytes([0x99, 0x01, 0x0D, 0x04])
TEXT = """<image schemaversion="8.0" name="root"><!-- kept -->
  <profiles><profile name="a.x86_64" description="A"/></profiles>
  <preferences><packagemanager>apt</packagemanager></preferences>
  <repository alias="first" distribution="sid"><source path="http://example.org/a">{first}</source></repository>
  <repository alias="second" {check}><source path="http://example.org/b">{second}</source></repository>
</image>"""


class Unit:
    def __init__(self, directory: Path) -> None:
        self.directory, self.into = directory / ".cb", directory / "keys"
        self.directory.mkdir()
        self.into.mkdir()
        self.pages: dict[str, bytes] = {}

    def text(self, first: str = "this://./first.asc", second: str = "", check: str = "") -> bytes:
        named = [f'<signing key="{key}"/>' if key else "" for key in (first, second)]
        return TEXT.format(first=named[0], second=named[1], check=check).encode()

    def collect(self, text: bytes) -> tuple[tuple[Path, ...], ...]:
        return keys.collect(parse(text, "a.x86_64"), self.directory, self.into, fetch=self.fetch)

    def fetch(self, url: str) -> bytes:
        if url not in self.pages:
            raise OSError("no answer")
        return self.pages[url]


@pytest.fixture
def unit(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "DEBIAN", str(tmp_path / "debian.gpg"))
    (tmp_path / "debian.gpg").write_bytes(BINARY)
    unit = Unit(tmp_path)
    (unit.directory / "first.asc").write_bytes(ARMORED)
    return unit


def test_key_is_a_file_of_the_unit_or_that_of_debian(unit):
    first, second = unit.collect(unit.text())
    assert [path.name for path in (*first, *second)] == ["cloud-builder-0.asc", "cloud-builder-1.gpg"]
    assert [path.read_bytes() for path in (*first, *second)] == [ARMORED, BINARY]


def test_key_is_fetched_by_https_and_stored_once(unit):
    unit.pages["https://example.org/k"] = BINARY
    first, second = unit.collect(unit.text("https://example.org/k", "https://example.org/k"))
    assert first == second
    assert first[0].name == "cloud-builder-0.gpg"


def test_unverified_repository_needs_no_key(unit):
    assert unit.collect(unit.text(check='repository_gpgcheck="false"'))[1] == ()


@pytest.mark.parametrize(
    ("key", "content", "error", "message"),
    [
        ("http://example.org/k", ARMORED, Permanent, "anybody between the key http://example.org/k and a runner"),
        ("https://example.org/missing", None, Retryable, "cannot be fetched: no answer"),
        ("https://example.org/k", b"<html>", Permanent, "it is not an OpenPGP public key"),
        ("https://example.org/k", ARMORED + b"-----BEGIN PGP PRIVATE KEY BLOCK-----", Permanent, "not an OpenPGP"),
        ("https://example.org/k", bytes([0x95, 0x01]), Permanent, "not an OpenPGP"),
        ("this://./missing.asc", None, Permanent, "No such file"),
        ("this://../../first.asc", None, Permanent, "is not beside it"),
        ("file:///no/such/key.gpg", None, Permanent, "No such file"),
    ],
)
def test_key_that_cannot_be_used_is_an_error_with_the_next_step(unit, key, content, error, message):
    if content is not None:
        unit.pages[key] = content
    with pytest.raises(error, match=message) as caught:
        unit.collect(unit.text(second=key))
    assert caught.value.hint


def test_error_of_a_machine_without_the_keys_of_debian_names_the_package(unit, tmp_path):
    (tmp_path / "debian.gpg").unlink()
    with pytest.raises(Retryable) as caught:
        unit.collect(unit.text())
    assert caught.value.hint == "apt-get install debian-archive-keyring"


def test_kiwi_gets_the_copies_and_the_rest_unchanged(unit):
    text = unit.text(check='repository_gpgcheck="false"')
    content = keys.localized(text, "a.x86_64", unit.collect(text), unit.into)
    image = ElementTree.fromstring(content)
    assert [key.get("key") for key in image.iter("signing")] == [(unit.into / "cloud-builder-0.asc").as_uri()]
    assert b"<!-- kept -->" in content
    assert [repository.get("customize") for repository in image.findall("repository")] == [None, None]


def test_repository_is_checked_against_its_own_keys_alone(unit, tmp_path):
    image = ElementTree.fromstring(keys.localized(unit.text(), "a.x86_64", unit.collect(unit.text()), unit.into))
    scripts = [Path(repository.get("customize", "")) for repository in image.findall("repository")]
    written = tmp_path / "second.sources"
    for number, script in enumerate(scripts):
        written.write_text("Types: deb\nSigned-By: /etc/apt/keyrings/a /etc/apt/keyrings/b\n")
        subprocess.run(["bash", "--norc", script, written], check=True)
        assert written.read_text() == f"Types: deb\nSigned-By: /etc/apt/keyrings/kiwi-*-{number}.*\n"
