"""`make demo` works, also beside other meshes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_installs_what_was_built_and_then_what_was_pushed(own_cache: Path, own_home: Path) -> None:
    environment = {
        **os.environ,
        "CB_DEMO": str(own_home / "demo"),
        "CB_CACHE": str(own_cache),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    demo = subprocess.run(
        [str(ROOT / "sources-example" / "demo.sh")],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    first, second = demo.stdout.split("# Change a comment in the library")
    comment, second = second.split("# Change what the library does")
    assert "| Good afternoon, Ada! |" in first
    assert "success after" in comment
    assert "2 unchanged" in comment, comment
    assert "packages/libgreet 1.0.0 (as before)" in comment, comment
    assert "| A lovely afternoon, Ada! |" in second
    for change in ("libgreet 1.0.0 → 1.0.1", "greet 1.2-1 (as before)", "greeting-card 1.1 (as before)"):
        assert f"packages/{change}" in second, second
    assert "stopped: " in second
