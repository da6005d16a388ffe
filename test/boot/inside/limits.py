"""Builds that exceed a limit: the kernel ends them, the job names the limit, and the runner works on."""

from __future__ import annotations

from builds import LONG, jobs, request
from page import LIMITS
from shell import asked, ctl, must, run, until
from units import RUNNER, SLOW, at_work, show
from watching import SLICE, Watching, nothing_left

MIB = 1 << 20


def memory() -> str:
    before = show(RUNNER)
    reason, known = _ended("fills-memory", "limit-memory")
    must(f"more than the limit `memory`, {LIMITS['memory'] // MIB} MiB" in reason, reason)
    kernel = run("journalctl", "-k", "-b", "-o", "cat", "--no-pager", "-g", "oom-kill:constraint=CONSTRAINT_MEMCG")
    must("cb-build-" in kernel, f"the kernel killed in another group: {kernel[-500:]}")
    after = show(RUNNER)
    must(
        (after["MainPID"], after["NRestarts"]) == (before["MainPID"], before["NRestarts"]), "the runner did not live on"
    )
    return f"failure: {reason}; the kernel killed in the build's group (memory.events: {_line(known['memory.events'])})"


def processes() -> str:
    reason, known = _ended("forks", "limit-processes")
    must(f"more than the limit `processes`, {LIMITS['processes']}" in reason, reason)
    kernel = run("journalctl", "-k", "-b", "-o", "cat", "--no-pager", "-g", "fork rejected by pids controller")
    must("cb-build-" in kernel, f"the kernel refused in another group: {kernel[-500:]}")
    return f"failure: {reason}; the kernel refused in the build's group (pids.events: {_line(known['pids.events'])})"


def release() -> str:
    """A runner that is restarted during a build releases its job, which counts no error and is built again."""
    request_id = request("takes-long", "--source", "hostile")
    try:
        return _released(request_id)
    finally:
        # Otherwise the build would keep the only slot from the checks after this one.
        ctl("cancel", request_id, fine=tuple(range(5)))


def _released(request: str) -> str:
    _building(request)
    run("systemctl", "restart", RUNNER, within=SLOW)
    at_work(RUNNER)
    [job] = _building(request)
    must((job["attempt"], job["outcome"]) == (2, None), f"after the restart: {job}")
    must(_codes(job)[0] == "runner-stopped", f"attempt 1 was not released: {_codes(job)}")
    return f"stopped: released, no error, attempt 2 runs; {_kill(request)}"


def _kill(request: str) -> str:
    """Kills the runner with its build: nothing of the build is left, and the job is tried again."""
    run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", RUNNER)
    until(lambda: show(RUNNER), lambda one: one["NRestarts"] != "0", SLOW, "a restart of the runner")
    at_work(RUNNER)
    until(lambda: jobs(request), lambda now: now[0]["attempt"] == 3 and now[0]["state"] == "running", SLOW, "attempt 3")
    [job] = _building(request)
    groups = [path.name for path in SLICE.glob("cb-build-*")]
    must(len(groups) == 1, f"groups after the runner was killed: {groups}")
    codes = _codes(job)
    ctl("cancel", request)
    until(lambda: jobs(request), lambda now: now[0]["outcome"] == "canceled", 120, "the end of a canceled job")
    until(lambda: list(SLICE.glob("cb-build-*")), lambda left: not left, 60, "the end of its control group")
    nothing_left()
    return f"killed: attempt 3 ({', '.join(codes)}); canceled; no control group is left"


def _codes(job: dict[str, object]) -> list[str]:
    """Returns the code of each attempt, in the order of the attempts."""
    attempts = sorted(asked("status", str(job["job_id"]))["attempts"], key=lambda one: one["attempt"])
    return [str(one.get("code", "")) for one in attempts]


def _building(request: str) -> list[dict[str, object]]:
    """Waits until the build itself has begun to print; returns the jobs of the request."""
    now = until(
        lambda: jobs(request),
        lambda now: (
            bool(now) and (now[0]["outcome"] is not None or str(now[0].get("last_line", "")).startswith("second"))
        ),
        SLOW,
        "the build under way",
    )
    must(now[0]["outcome"] is None, f"ended too early: {now[0]}")
    return now


def _ended(unit: str, code: str) -> tuple[str, dict[str, str]]:
    """Requests the unit and waits for its failure; returns the message, and the events of its group."""
    with Watching() as seen:
        request_id = request(unit, "--source", "hostile")
        ctl("watch", request_id, within=LONG, fine=(1,))
    [job] = jobs(request_id)
    must((job["outcome"], job["attempt"]) == ("failure", 1), str(job))
    status = asked("status", str(job["job_id"]))
    [attempt] = status["attempts"]
    must(attempt["code"] == code, f"the code is {attempt['code']}, not {code}: {status}")
    nothing_left()
    return str(attempt["message"]).splitlines()[0], list(seen.groups.values())[-1]


def _line(events: str) -> str:
    return ", ".join(line for line in events.splitlines() if not line.endswith(" 0"))
