"""Signs with GnuPG (the port Signer), in a GnuPG home of its own.

The key is made at first use, without a passphrase (a daemon cannot prompt), and stays in `home` (0700). To sign with
another key, import it into that home and name it in the settings.

GnuPG uses secret keys in a daemon, gpg-agent. Each operation starts one and ends it, so that a killed collector leaves
none behind. Its socket is in the home, and the path of a socket has at most 107 bytes: a longer home is used through a
short symbolic link.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock

from cloud_builder.adapters import process
from cloud_builder.errors import Retryable
from cloud_builder.files.disk_errors import retryable_disk_errors

ALGORITHM = "rsa3072"
"""Supported by every apt, dnf and zypper in use."""
_MAX_HOME_BYTES = 80
_TIMEOUT = 120.0


class GnupgSigner:
    """Signs with the key `key_name` (a user id). `home`: a directory for this purpose only; made when missing."""

    def __init__(self, home: Path, key_name: str) -> None:
        self._home, self._key_name = home.absolute(), key_name
        self._lock = Lock()
        with _disk_errors(home):
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._home.chmod(0o700)
        with self._session() as session:
            self._fingerprint = self._find(session) or self._make(session)
            self._public = {
                armored: _gpg(session, *(["--armor"] if armored else []), "--export", self._fingerprint)
                for armored in (True, False)
            }

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def clearsign(self, text: str) -> bytes:
        return self._signed("--clearsign", stdin=text.encode())

    def detach(self, content: bytes) -> bytes:
        return self._signed("--armor", "--detach-sign", stdin=content)

    def public_key(self, *, armored: bool) -> bytes:
        return self._public[armored]

    def close(self) -> None:
        """Does nothing: each operation ends its agent."""

    def _signed(self, *arguments: str, stdin: bytes) -> bytes:
        with self._session() as session:
            return _gpg(session, "--digest-algo", "SHA512", "--local-user", self._fingerprint, *arguments, stdin=stdin)

    def _find(self, session: Path) -> str:
        """Returns the fingerprint of the key; empty: no such key (exit status 2)."""
        listed = _gpg(session, "--with-colons", "--list-secret-keys", f"={self._key_name}", expected=(0, 2)).decode()
        fingerprints = [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")]
        return fingerprints[0] if fingerprints else ""

    def _make(self, session: Path) -> str:
        _gpg(session, "--quick-generate-key", self._key_name, ALGORITHM, "sign", "never")
        return self._find(session)

    @contextmanager
    def _session(self) -> Iterator[Path]:
        """The home under a path short enough for the agent's socket; ends the agent."""
        with self._lock, _disk_errors(self._home), _short(self._home) as home:
            try:
                yield home
            finally:
                process.run(["gpgconf", "--kill", "gpg-agent"], env=_environment(home), timeout=_TIMEOUT)
                if home != self._home:
                    process.run(["gpgconf", "--remove-socketdir"], env=_environment(home), expected=(0, 1, 2))


@contextmanager
def _short(home: Path) -> Iterator[Path]:
    if len(os.fsencode(home)) <= _MAX_HOME_BYTES:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="cb-", dir="/tmp") as directory:
        link = Path(directory) / "gnupg"
        link.symlink_to(home)
        yield link


def _disk_errors(home: Path) -> AbstractContextManager[None]:
    return retryable_disk_errors(f"the home of the signing key, {home}, cannot be used", home, code="signing", delay=10)


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "GNUPGHOME": str(home), "LC_ALL": "C.UTF-8"}


def _gpg(home: Path, *arguments: str, stdin: bytes = b"", expected: tuple[int, ...] = (0,)) -> bytes:
    quiet = ("--batch", "--no-tty", "--yes", "--quiet", "--no-auto-check-trustdb")
    finished = process.run(
        ["gpg", *quiet, "--pinentry-mode", "loopback", "--passphrase", "", *arguments],
        env=_environment(home),
        stdin=stdin,
        timeout=_TIMEOUT,
        expected=expected,
        error=Retryable,
        code="signing",
        hint="Check that the disk has space, and that the key in the signing home has no passphrase.",
    )
    return finished.stdout
