"""The port to the key that repositories are signed with."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """OpenPGP signatures by one key, which the adapter makes when there is none. Thread-safe.

    Raises Retryable(code="signing") when the key cannot be used now."""

    @property
    def fingerprint(self) -> str:
        """40 upper-case hex digits."""

    def clearsign(self, text: str) -> bytes:
        """The text with its signature around it (InRelease). `text` ends in a newline."""

    def detach(self, content: bytes) -> bytes:
        """An armored signature of the content (Release.gpg)."""

    def public_key(self, *, armored: bool) -> bytes:
        """What verifies the signatures, for people to download: armored (key.asc) or binary (key.gpg)."""

    def close(self) -> None:
        """Leaves no process behind."""
