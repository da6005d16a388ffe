"""How the GnuPG signer keeps its key, and what it leaves behind."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cloud_builder.adapters.signing.gnupg import GnupgSigner


def agents_of(home: Path) -> list[str]:
    """Command lines of processes whose environment or arguments name the home."""
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


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o755)
    GnupgSigner(home, "Test repositories")
    keys = list((home / "private-keys-v1.d").iterdir())
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_each_name_is_a_key_of_its_own(tmp_path: Path) -> None:
    one, two = GnupgSigner(tmp_path, "Repositories"), GnupgSigner(tmp_path, "Repositories of another")
    assert one.fingerprint != two.fingerprint
    assert GnupgSigner(tmp_path, "Repositories").fingerprint == one.fingerprint
