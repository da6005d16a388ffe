"""A log of hundreds of megabytes, followed live by three readers: each gets every byte, or a report of the
bytes that were left out."""

from __future__ import annotations

import re
import subprocess

from e2e.big.big_sizes import FLAT, disk_use, largest_of

FOLLOWERS = 3
GAP = re.compile(rb"--- (\d+) bytes are not shown live; they are in the whole log ---\n")
KEPT_ON_DISK = 50
"""MB that the log may add to the state of cb-info: its live part, and the write-ahead log of SQLite (32)."""


def test_three_followers_get_every_byte_or_a_report_of_the_gap(long_lived, sizes, directory):
    mesh = long_lived
    before = disk_use(mesh.home / "info")
    request = mesh.ok("request", "packages/chatty", "--json").json["request_id"]
    job = mesh.until(lambda: mesh.rows("jobs", "--request", request), "its job is known")[0]["job_id"]
    files = [directory / f"follower-{number}" for number in range(FOLLOWERS)]
    followers = [_follow(mesh, job, file) for file in files]
    assert [follower.wait(900) for follower in followers] == [0] * FOLLOWERS, mesh.logs()
    mesh.ok("get", job, "--logs", "-o", str(directory / "log"))
    [log] = (directory / "log").glob("*.log")
    whole = _as_shown(log.read_bytes())
    assert len(whole) > 0.95 * sizes.log
    for file in files:
        shown, left_out = _compared(_as_shown(file.read_bytes()), whole)
        print(f"{shown} of {len(whole)} bytes shown, {left_out} reported as left out")
    used = largest_of(mesh, "runner-1", "info")
    grown = disk_use(mesh.home / "info") - before
    print(f"MB at most: {used}; disk of cb-info grew by {grown:.1f} MB")
    assert max(used.values()) < FLAT
    assert grown < KEPT_ON_DISK


def _follow(mesh, job, into):
    """stdout and stderr into one file, so that the report of a gap is at the position of the gap."""
    command = [str(mesh.account.programs / "cb-ctl"), "logs", "-f", "--raw", job]
    with into.open("wb") as file:
        return subprocess.Popen(command, env=mesh.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def _as_shown(log: bytes) -> bytes:
    """A byte that belongs to no letter is shown live as a question mark."""
    return re.sub("[\udc80-\udcff]", "?", log.decode("utf-8", "surrogateescape")).encode()


def _compared(followed: bytes, whole: bytes) -> tuple[int, int]:
    """Returns how many bytes were shown, and how many were reported as left out: together the whole log."""
    position = shown = left_out = 0
    text, *rest = GAP.split(followed)
    pieces = [(0, text), *((int(gap), text) for gap, text in zip(rest[::2], rest[1::2], strict=True))]
    for gap, piece in pieces:
        left_out += gap
        position += gap
        assert piece == whole[position : position + len(piece)], f"at byte {position}"
        position += len(piece)
        shown += len(piece)
    assert position == len(whole)
    return shown, left_out
