"""The spec that the stage reads before it starts a process."""

from __future__ import annotations

import json
import socket

import pytest

from cloud_builder.adapters.sandbox.stage.launch import read_spec
from cloud_builder.adapters.sandbox.stage.spec import KILL

SPEC = {"side": "/var/tmp/x", "command": ["true"] * 3_000}


@pytest.mark.parametrize(("commands", "is_canceled"), [(b"", False), (KILL, True)])
def test_cancel_before_the_start_of_the_stage_is_read(commands: bytes, is_canceled: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(json.dumps(SPEC).encode() + b"\n" + commands)
        assert read_spec(theirs.fileno()) == (SPEC, is_canceled)
