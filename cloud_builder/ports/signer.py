"""The port to the signing key of the repositories."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """A maker of OpenPGP signatures by one key, which the adapter creates if there is none. Thread-safe.

    Raises Retryable(code="signing") if the key cannot be used now."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key: 40 upper-case hex digits."""

    def clearsign(self, text: str) -> bytes:
        """Returns the text with its signature around it (InRelease). `text` ends in a newline."""

    def detach(self, content: bytes) -> bytes:
        """Returns an armored signature of the content (Release.gpg)."""

    def public_key(self, *, armored: bool) -> bytes:
        """Returns the public key, for people to download: armored (key.asc) or binary (key.gpg)."""

    def close(self) -> None:
        """Ends all processes of the adapter."""
