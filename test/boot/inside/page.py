"""Follows doc/how-to/run-as-services.md: runs its commands unchanged, block by block."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import units
from shell import Wrong, must, run

HERE = Path("/srv")
CHECKOUT = HERE / "cloud-builder"
PAGE = CHECKOUT / "doc" / "how-to" / "run-as-services.md"
EDITOR = HERE / "editor"
NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(HERE / "wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
WITHIN = 900
USER = "cloud-builder"
MODES = {
    "/etc/cloud-builder": ("root", USER, "750"),
    "/etc/cloud-builder/settings.yml": ("root", USER, "640"),
    "/var/lib/cloud-builder": (USER, USER, "750"),
    "/var/cache/cloud-builder": (USER, USER, "750"),
}
LIMITS = {"memory": 400 << 20, "processes": 120, "time": 1200, "silence": 900}
"""Limits of builds: enough for the example, and soon reached by the hostile units."""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def run_block(number: int) -> str:
    """Runs the block and returns its output. Raises Wrong with the output when a command of it fails."""
    environment = {**os.environ, **NO_INDEX, "EDITOR": str(EDITOR), "DEBIAN_FRONTEND": "noninteractive"}
    command = ["bash", "-euo", "pipefail", "-c", blocks()[number]]
    try:
        ended = subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        raise Wrong(f"block {number}: not done within {WITHIN} s") from None
    must(ended.returncode == 0, f"block {number}: status {ended.returncode}: {(ended.stdout + ended.stderr)[-1500:]}")
    return ended.stdout


def settings() -> dict[str, object]:
    """Returns the settings that the page leaves to the reader, who writes them with an editor."""
    port = json.loads((HERE / "options.json").read_text())["port"]
    return {
        "broker": {"bootstrap": f"127.0.0.1:{port}"},
        "sources": {name: {"url": f"/srv/{name}", "branch": "main"} for name in ("source", "hostile")},
        "runner": {"limits": LIMITS},
    }


def installed() -> str:
    """Runs the first block: packages, programs, units, users, directories, settings."""
    (HERE / "settings.json").write_text(json.dumps(settings()))  # Which is YAML, too.
    EDITOR.write_text(f'#!/bin/sh\nexec cp {HERE}/settings.json "$1"\n')
    EDITOR.chmod(0o755)
    run_block(0)
    for path, expected in MODES.items():
        found = tuple(run("stat", "-c", "%U %G %a", path).split())
        must(found == expected, f"{path} is {found}, not {expected}")
    _bring_root()
    return f"{len(blocks()[0].splitlines())} lines run as they stand; owners and modes are right"


def _bring_root() -> None:
    """Copies build roots that another runner has prepared, and makes the sources readable as the page describes."""
    store = HERE / "store"
    if store.is_dir():
        run("cp", "-r", str(store), "/var/cache/cloud-builder/store")
        run("chown", "-R", f"{USER}:", "/var/cache/cloud-builder/store")


def trusted() -> str:
    """Allows git to read both sources of this machine, as the page describes."""
    for name in ("source", "hostile"):
        run("git", "config", "--system", "--add", "safe.directory", f"/srv/{name}/.git")
    return "git serves repositories of root to the daemons"


def passes_a_key() -> str:
    """Installs the drop-in of the page: two different daemons read a key that only root may read."""
    [drop_in] = re.findall(r"^```ini\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    directory = units.UNITS / "cb-.service.d" / "key.conf"
    directory.parent.mkdir()
    directory.write_text(drop_in)
    key = Path("/etc/cloud-builder/broker.key")
    key.touch(0o600)
    key.write_text("secret\n")
    run("systemctl", "daemon-reload")
    for unit in ("cb-info.service", units.RUNNER):
        run("systemctl", "restart", unit, within=units.SLOW)
        environment = Path(f"/proc/{units.main_pid(unit)}/environ").read_text().split("\0")
        [given] = [line for line in environment if line.startswith("CB_BROKER__OPTIONS=")]
        path = json.loads(given.partition("=")[2])["ssl.key.location"]
        ids = ["--reuid", USER, "--regid", USER, "--clear-groups"]
        must(run("setpriv", *ids, "cat", path) == "secret\n", f"{unit} cannot read {path}")
    directory.unlink()
    directory.parent.rmdir()
    run("systemctl", "daemon-reload")
    return "root's key is read by daemons, by a path of their own"


def doctored() -> str:
    """Runs the block with `cb-ctl doctor`: it reports no error, and limits that the kernel enforces."""
    output = run_block(1)
    lines = [line for line in output.splitlines() if line.startswith(("warning", "error"))]
    must(not any(line.startswith("error") for line in lines), f"doctor finds errors: {lines}")
    must("the kernel limits memory and processes of builds" in output, f"doctor does not find the cgroup: {output}")
    lines_of_log = [" ".join(line.split()[1:]) for line in lines]
    warnings = "; ".join(line for line in lines_of_log if not line.startswith("topics ")) or "none"
    return f"no error, cgroup v2 delegated; warnings: {warnings}"
