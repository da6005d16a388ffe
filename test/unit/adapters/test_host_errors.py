"""What the machine lacks is named together with the command that mends it."""

from __future__ import annotations

import errno

import pytest

from cloud_builder.adapters.sandbox.host_errors import no_ids, no_program, no_uidmap_tools, refused


@pytest.mark.parametrize(
    ("lack", "thing", "mend"),
    [
        (no_ids("alice"), "alice", "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 alice"),
        (no_uidmap_tools(), "newuidmap", "apt-get install uidmap"),
        (no_program("zstd", "zstd"), "zstd", "apt-get install zstd"),
        (refused("unshare: Operation not permitted", errno.EPERM), "namespaces", "seccomp"),
        (refused("mount overlay at /x/root: Invalid argument", errno.EINVAL), "overlay", "ext4"),
        (refused("mount proc at /x/proc: Operation not permitted", errno.EPERM), "/proc", "unmasked"),
    ],
)
def test_a_lack_is_named_and_mended(lack, thing, mend):
    assert lack.code == "sandbox"
    assert thing in lack.message
    assert mend in lack.hint
