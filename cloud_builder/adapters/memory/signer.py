"""The port `Signer` without cryptography: a signature is a digest."""

from __future__ import annotations

import hashlib

BEGIN, END = "-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----"


class MemorySigner:
    """Implements ports.signer.Signer, for tests: anyone can forge these signatures."""

    def __init__(self, key_name: str = "memory") -> None:
        self._key = hashlib.sha1(key_name.encode()).hexdigest().upper()

    @property
    def fingerprint(self) -> str:
        return self._key

    def clearsign(self, text: str) -> bytes:
        return b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + text.encode() + self.detach(text.encode())

    def detach(self, content: bytes) -> bytes:
        digest = hashlib.sha256(self._key.encode() + content).hexdigest()
        return f"{BEGIN}\n{digest}\n{END}\n".encode()

    def public_key(self, *, armored: bool) -> bytes:
        return f"{self._key}\n".encode() if armored else bytes.fromhex(self._key)

    def close(self) -> None:
        """Has nothing to close."""
