"""The GnuPG signer: permissions of its key, and no leftover agents or links."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cloud_builder.adapters.signing.gnupg import GnupgSigner


def agents_of(home: Path) -> list[str]:
    """Returns the command lines of gpg-agents whose environment or arguments name the home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if b"gpg-agent" in command and bytes(home) in command + environment:
            found.append(command.decode())
    return found


@pytest.mark.parametrize("depth", [1, 12], ids=["short home", "home too long for a socket"])
def test_signing_leaves_no_agent_and_no_link(tmp_path: Path, depth: int) -> None:
    home = tmp_path.joinpath(*["directory-with-a-name"] * depth)
    before = set(Path("/tmp").glob("cb-*"))
    signer = GnupgSigner(home, "Test repositories")
    assert b"BEGIN PGP SIGNATURE" in signer.clearsign("text\n")
    assert agents_of(home) == []
    assert {path for path in set(Path("/tmp").glob("cb-*")) - before if (path / "gnupg").is_symlink()} == set()


def test_key_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o755)
    GnupgSigner(home, "Test repositories")
    keys = list((home / "private-keys-v1.d").iterdir())
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_each_name_has_its_own_key(tmp_path: Path) -> None:
    first, second = GnupgSigner(tmp_path, "Repositories"), GnupgSigner(tmp_path, "Repositories of another")
    assert first.fingerprint != second.fingerprint
    assert GnupgSigner(tmp_path, "Repositories").fingerprint == first.fingerprint
