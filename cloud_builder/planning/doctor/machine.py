"""Checks what is installed, and that builds can be confined and limited."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import MIN_PYTHON, Facts
from .finding import Finding, Level, ok


def check_python(facts: Facts) -> Iterator[Finding]:
    version = ".".join(map(str, facts.python))
    if facts.python < MIN_PYTHON:
        fix = "apt-get install python3 (Debian 12 or newer), then install Cloud Builder with that Python"
        yield Finding("python", Level.ERROR, f"Python {version} is too old: Cloud Builder needs 3.11", fix)
    elif facts.kiwi is not None:
        fix = facts.kiwi.hint or "pip install --force-reinstall kiwi"
        yield Finding("python", Level.ERROR, f"KIWI cannot be loaded: {facts.kiwi.message}", fix)
    else:
        yield ok("python", f"Python {version}")


def check_programs(facts: Facts) -> Iterator[Finding]:
    for program, package, needed in facts.missing:
        level = Level.ERROR if needed else Level.WARNING
        yield Finding("programs", level, f"{program} is not installed on this machine", f"apt-get install {package}")
    if not facts.missing:
        yield ok("programs", "all needed programs are installed")


def check_sandbox(facts: Facts) -> Iterator[Finding]:
    if facts.sandbox_error is not None:
        yield Finding("sandbox", Level.ERROR, facts.sandbox_error.message, facts.sandbox_error.hint)
    elif facts.is_sandbox_tried:
        yield ok("sandbox", f"user {facts.user} can confine builds (Linux {facts.kernel})")
    if not facts.seccomp:
        fix = "boot a kernel that is built with CONFIG_SECCOMP_FILTER"
        yield Finding("seccomp", Level.WARNING, "the kernel has no seccomp: builds can use every system call", fix)


def check_limits(facts: Facts) -> Iterator[Finding]:
    if facts.cgroup_controllers is None:
        return
    missing = {"memory", "pids"} - facts.cgroup_controllers
    if missing:
        cause = f"no cgroup v2 with {' and '.join(sorted(missing))} is delegated to this process"
        effect = "a watchdog and rlimits limit the memory and processes of builds, and a fast build can exceed them"
        fix = (
            "run it with systemd-run --user --scope -p Delegate=yes cb-ctl …, or as a service with Delegate=yes "
            "(systemd/cb-runner@.service)"
        )
        yield Finding("limits", Level.WARNING, f"{cause}: {effect}", fix)
    else:
        yield ok("limits", "a cgroup is delegated: the kernel limits memory and processes of builds")
