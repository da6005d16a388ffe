"""What the stage reads before it starts anything."""

from __future__ import annotations

import json
import socket

import pytest

from cloud_builder.adapters.sandbox.stage.launch import read_spec
from cloud_builder.adapters.sandbox.stage.spec import KILL

SPEC = {"side": "/var/tmp/x", "command": ["true"] * 3_000}


@pytest.mark.parametrize(("orders", "called_off"), [(b"", False), (KILL, True)])
def test_a_run_that_is_called_off_before_the_stage_has_started_is_not_waited_for(
    orders: bytes, called_off: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(json.dumps(SPEC).encode() + b"\n" + orders)
        assert read_spec(theirs.fileno()) == (SPEC, called_off)
