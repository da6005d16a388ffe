"""Real packages through the mesh in the guest: the example chain, its repository, its installation by apt."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from page import CHECKOUT
from shell import asked, ctl, must, run, until
from units import SLOW
from watching import Watching, limits_in_force

LONG = 2400.0
NO_ANSWER = 4
UNITS = {"packages/libgreet", "packages/greet", "packages/greeting-card"}
INSTALL = CHECKOUT / "doc" / "how-to" / "install-packages.md"


def jobs(request: str) -> list[dict[str, object]]:
    return [job for job in asked("list", "jobs") if job["request_id"] == request]


def request(*words: str) -> str:
    """Sends a request, and returns its id. The id is chosen here: a slow machine may accept later than cb-ctl waits."""
    request_id = f"boot-{uuid4().hex[:8]}"
    ctl("request", *words, "--id", request_id, fine=(0, NO_ANSWER))
    accepted = f"request {' '.join(words)} accepted"
    until(lambda: asked("list", "requests"), lambda now: request_id in str(now), SLOW, accepted)
    return request_id


def chain() -> str:
    """Builds three packages, one after the other, and checks the limits in the kernel."""
    until(lambda: asked("list", "units"), lambda seen: len(seen) >= len(UNITS), 120, "the units of both sources")
    with Watching() as seen:
        request_id = request("--all", "--source", "source")
        ctl("watch", request_id, within=LONG)
    done = {str(job["unit"]): job["outcome"] for job in jobs(request_id)}
    must(done == dict.fromkeys(UNITS, "success"), f"builds: {done}")
    return f"{len(done)} packages built; {limits_in_force(seen)}"


def again() -> str:
    """Checks that the same request builds nothing, also after a boot."""
    request_id = request("--all", "--source", "source")
    ctl("watch", request_id, within=LONG)
    done = {str(job["outcome"]) for job in jobs(request_id)}
    must(done == {"reused"}, f"outcomes: {done}")
    return "asked again: reused"


def install() -> str:
    """Installs from the repository as doc/how-to/install-packages.md describes."""
    block = re.findall(r"^```sh\n(.*?)^```$", INSTALL.read_text(), re.DOTALL | re.MULTILINE)[0]
    names = [str(one["repository"]) for one in asked("list", "repositories")]
    [name] = [name for name in names if name.startswith("source-")]
    commands = block.replace("sudo ", "").replace("example-bookworm", name).replace("install ", "install -y ")
    run("bash", "-euo", "pipefail", "-c", commands, within=600)
    output = run("greeting-card", "--hour", "15", "Ada")
    must("Good afternoon, Ada!" in output, output)
    Path("/etc/apt/sources.list.d", f"{name}.sources").unlink()
    return f"apt installed greeting-card from {name}, and it runs"
