"""The supervisor of `cb-ctl up`: what it costs as long as the mesh runs, and its command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cloud_builder.wiring.supervisor import MeshSpec


def test_supervisor_with_the_embedded_broker_does_not_load_pydantic():
    script = """
import sys
import cloud_builder.wiring.supervisor
from cloud_builder.adapters.kafka.embedded import EmbeddedBroker
broker = EmbeddedBroker()
assert broker.start()["embedded"]
broker.close()
print("pydantic" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_mesh_spec_survives_the_command_line():
    spec = MeshSpec(Path("/srv/home"), 2, {"bootstrap": "k:9092", "options": {"a": "b"}}, {"CB_CACHE": "/c"}, parent=4)
    assert MeshSpec.from_json(spec.as_json()) == spec
