"""Choice of the ids of a sandbox, from the files that grant them."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.sandbox.idmap import Range, first_unused, free_in, parse_granted

GRANTED = "alice:100000:65536\n1001:300000:1000\n# a comment\nbob:200000:65536\nbroken:x:y\nalice:500000:10\n"


@pytest.mark.parametrize(
    ("names", "ranges"),
    [
        (("alice", "1000"), [Range(100000, 65536), Range(500000, 10)]),
        (("carol", "1001"), [Range(300000, 1000)]),
        (("nobody", "65534"), []),
        (("broken", "1"), []),
    ],
)
def test_granted_ranges_are_found_by_user_name_or_number(names, ranges):
    assert list(parse_granted(GRANTED, names)) == ranges


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("         0          0 4294967295\n", Range(100001, 65535)),
        ("         0     100000      65536\n", Range(1, 65535)),
        ("         0       1000          1\n         1     100000      65536\n", Range(1, 65536)),
        ("      1000       1000          1\n", Range(1000, 1)),
    ],
    ids=["whole machine", "container with its own ids", "rootless container", "no root"],
)
def test_root_uses_ids_that_its_namespace_has(text, chosen):
    assert free_in(text) == chosen


def test_first_unused_id_is_after_all_granted_ranges():
    assert first_unused("", "") == 100000
    assert first_unused("a:100000:65536\nb:165536:65536\n", "a:300000:10\n# odd\n") == 300010
    assert first_unused("root:1000:10") == 100000
