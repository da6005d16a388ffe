"""Errors of an unsuitable machine name what is missing and the command that fixes it."""

from __future__ import annotations

import errno

import pytest

from cloud_builder.adapters.sandbox.host_errors import no_ids, no_program, no_uidmap_tools, refused


@pytest.mark.parametrize(
    ("error", "missing", "fix"),
    [
        (no_ids("alice"), "alice", "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 alice"),
        (no_uidmap_tools(), "newuidmap", "apt-get install uidmap"),
        (no_program("zstd", "zstd"), "zstd", "apt-get install zstd"),
        (refused("unshare: Operation not permitted", errno.EPERM), "namespaces", "seccomp"),
        (refused("mount overlay at /x/root: Invalid argument", errno.EINVAL), "overlay", "ext4"),
        (refused("mount proc at /x/proc: Operation not permitted", errno.EPERM), "/proc", "unmasked"),
    ],
)
def test_error_names_what_is_missing_and_the_fix(error, missing, fix):
    assert error.code == "sandbox"
    assert missing in error.message
    assert fix in error.hint
