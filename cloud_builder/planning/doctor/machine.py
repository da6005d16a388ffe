"""What is installed, and whether builds can be confined and limited."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import LEAST_PYTHON, Facts
from .finding import Finding, Level, ok


def check_python(facts: Facts) -> Iterator[Finding]:
    version = ".".join(map(str, facts.python))
    if facts.python < LEAST_PYTHON:
        mend = "apt-get install python3 (Debian 12 or newer), then install Cloud Builder with it"
        yield Finding("python", Level.ERROR, f"Python {version} is too old, 3.11 is needed", mend)
    elif facts.kiwi is not None:
        mend = facts.kiwi.hint or "pip install --force-reinstall kiwi"
        yield Finding("python", Level.ERROR, f"KIWI cannot be loaded: {facts.kiwi.message}", mend)
    else:
        yield ok("python", f"Python {version}")


def check_programs(facts: Facts) -> Iterator[Finding]:
    for program, package, needed in facts.missing:
        level = Level.ERROR if needed else Level.WARNING
        yield Finding("programs", level, f"{program} is not installed on this machine", f"apt-get install {package}")
    if not facts.missing:
        yield ok("programs", "all there")


def check_sandbox(facts: Facts) -> Iterator[Finding]:
    if facts.trial is not None:
        yield Finding("sandbox", Level.ERROR, facts.trial.message, facts.trial.hint)
    elif facts.tried:
        yield ok("sandbox", f"user {facts.user} can confine builds (Linux {facts.kernel})")
    if not facts.seccomp:
        mend = "boot a kernel with CONFIG_SECCOMP_FILTER"
        yield Finding("seccomp", Level.WARNING, "the kernel has no seccomp: builds may make every system call", mend)


def check_limits(facts: Facts) -> Iterator[Finding]:
    if facts.cgroup_controllers is None:
        return
    lacking = {"memory", "pids"} - facts.cgroup_controllers
    if lacking:
        cause = f"no cgroup v2 with {' and '.join(sorted(lacking))} is delegated to this process"
        effect = "memory and processes of builds are limited by a watchdog and rlimits, which a fast build can overrun"
        mend = (
            "run it with systemd-run --user --scope -p Delegate=yes cb-ctl …, or as a service with Delegate=yes "
            "(systemd/cb-runner@.service)"
        )
        yield Finding("limits", Level.WARNING, f"{cause}: {effect}", mend)
    else:
        yield ok("limits", "a cgroup is delegated: the kernel limits memory and processes of builds")
