"""The contract of ports.signer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_builder.adapters import process
from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.adapters.signing.gnupg import GnupgSigner
from cloud_builder.ports.signer import Signer

TEXT = "Origin: here\nDate: now\n- not a dash to lose\n"


@dataclass(frozen=True)
class SignerUnderTest:
    """`is_valid(content, signature)`: `content` None for a clear-signed text."""

    make: Callable[[], Signer]
    is_valid: Callable[[bytes | None, bytes], bool]


def memory(path: Path) -> SignerUnderTest:
    signer = MemorySigner()

    def is_valid(content: bytes | None, signature: bytes) -> bool:
        if content is not None:
            return signer.detach(content) == signature
        return signer.clearsign(signature.decode().split("\n\n", 1)[1].split("-----BEGIN PGP SIG")[0]) == signature

    return SignerUnderTest(MemorySigner, is_valid)


def gnupg(path: Path) -> SignerUnderTest:
    def make() -> Signer:
        return GnupgSigner(path / "gnupg", "Test repositories")

    def is_valid(content: bytes | None, signature: bytes) -> bool:
        (path / "key.gpg").write_bytes(make().public_key(armored=False))
        (path / "signature").write_bytes(signature)
        (path / "content").write_bytes(content or b"")
        files = [path / "signature", *([path / "content"] if content is not None else [])]
        return process.run(["gpgv", "--keyring", path / "key.gpg", *files], expected=range(3)).status == 0

    return SignerUnderTest(make, is_valid)


@pytest.fixture(params=[memory, gnupg], ids=["memory", "gnupg"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> SignerUnderTest:
    made: SignerUnderTest = request.param(tmp_path)
    return made


@pytest.fixture
def signer(subject: SignerUnderTest) -> Iterator[Signer]:
    signer = subject.make()
    yield signer
    signer.close()


def test_the_key_is_named_and_can_be_downloaded(signer: Signer) -> None:
    assert re.fullmatch(r"[0-9A-F]{40}", signer.fingerprint)
    assert signer.public_key(armored=True).isascii()
    assert signer.public_key(armored=False) != signer.public_key(armored=True)


def test_key_survives_a_restart(subject: SignerUnderTest, signer: Signer) -> None:
    again = subject.make()
    assert again.fingerprint == signer.fingerprint
    assert again.public_key(armored=True) == signer.public_key(armored=True)


def test_clear_signed_text_can_be_read_and_verified(subject: SignerUnderTest, signer: Signer) -> None:
    signed = signer.clearsign(TEXT)
    assert b"Origin: here\nDate: now\n" in signed
    assert subject.is_valid(None, signed)
    assert not subject.is_valid(None, signed.replace(b"here", b"elsewhere"))


def test_detached_signature_fits_its_content_only(subject: SignerUnderTest, signer: Signer) -> None:
    signature = signer.detach(TEXT.encode())
    assert subject.is_valid(TEXT.encode(), signature)
    assert not subject.is_valid(TEXT.encode() + b"\n", signature)


def test_threads_can_sign_at_once(subject: SignerUnderTest, signer: Signer) -> None:
    with ThreadPoolExecutor(4) as pool:
        signed = list(pool.map(signer.detach, [str(number).encode() for number in range(6)]))
    assert all(subject.is_valid(str(number).encode(), signature) for number, signature in enumerate(signed))
