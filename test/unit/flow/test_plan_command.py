"""Tests of the commands `cb-ctl plan` and `cb-ctl request` on a whole mesh in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from cloud_builder.cli.main import run
from cloud_builder.cli.plan import MAX_ROWS, summary_lines
from cloud_builder.errors import ExitCode
from cloud_builder.model import events as e
from cloud_builder.wiring import broker
from support.factories import unit_files
from support.memory_mesh import URL, MemoryMesh

NEEDS = {"lib": (), "tool": ("lib",), "card": ("tool",), "other": ("lib",)}
RunCtl = Callable[..., str]
"""Runs cb-ctl with the given words; returns what it printed."""


def files(**content: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, needs in NEEDS.items():
        found |= unit_files(name, *needs, content=content.get(name, ""))
    return found


class RunningMesh:
    """A mesh whose rounds run in a thread while commands are executed."""

    def __init__(self, mesh: MemoryMesh) -> None:
        self.mesh = mesh
        self._stop = Event()
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.mesh.round()

    def __enter__(self) -> MemoryMesh:
        self._thread.start()
        return self.mesh

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryMesh]:
    """Returns a running mesh in which all units were built, and then lib was changed on a branch."""
    monkeypatch.setenv("CB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CB_BROKER", "memory:1")
    mesh = MemoryMesh(files(), runners=2)
    mesh.request(all=True, id="first")
    mesh.finished("first")
    mesh.git.repository(URL).commit(files(lib="new"), "feature", onto=mesh.git.repository(URL).branches["main"])
    monkeypatch.setattr(broker, "connect", lambda _: mesh.broker)
    with RunningMesh(mesh):
        yield mesh


@pytest.fixture
def ctl(capsys: pytest.CaptureFixture[str]) -> RunCtl:
    def ctl(*words: str, code: ExitCode = ExitCode.SUCCESS) -> str:
        capsys.readouterr()
        assert run(list(words)) == code, capsys.readouterr().err
        both = capsys.readouterr()
        return both.out + both.err

    return ctl


def test_plan_is_a_table_with_reasons_and_totals(mesh: MemoryMesh, ctl: RunCtl) -> None:
    text = ctl("plan", "--since", "main", "--ref", "feature", "--rebuild-dependants")
    assert "demo feature (" in text
    rows = [line for line in text.splitlines() if "bookworm.x86_64" in line]
    assert [row.split("bookworm.x86_64")[1].split()[0] for row in rows] == ["build", "maybe", "maybe", "maybe"]
    assert "its files changed" in rows[0]
    assert rows[3].startswith("2 "), "card is of level 2"
    assert "only if packages/lib differs from its last build" in text
    assert "4 jobs: 1 to build, 3 maybe" in text


def test_plan_in_json_has_verdict_and_needs_of_each_job(mesh: MemoryMesh, ctl: RunCtl) -> None:
    found = json.loads(ctl("plan", "card", "--json"))
    assert (found["source"], found["ref"], found["totals"]["reused"]) == ("demo", "main", 1)
    assert [(job["unit"], job["verdict"], job["needs"]) for job in found["jobs"]] == [
        ("packages/lib", "unchanged", []),
        ("packages/tool", "unchanged", [1]),
        ("packages/card", "reused", [2]),
    ]


def test_plan_starts_nothing_and_the_same_request_builds(mesh: MemoryMesh, ctl: RunCtl) -> None:
    words = ("--since", "main", "--ref", "feature", "--rebuild-dependants")
    before = len(mesh.events(e.JobFinished))
    ctl("plan", *words)
    assert len(mesh.events(e.JobFinished)) == before
    assert "4 jobs" in ctl("plan", *words) and "success" in ctl("request", *words, "--watch")
    assert len(mesh.events(e.JobFinished)) > before


def test_totals_give_minimum_and_maximum() -> None:
    totals = e.PlanTotals(
        jobs=9, build=1, maybe=3, reused=1, unchanged=4, never_built=2, work=41.0, most_work=181.0, critical_path=41.0,
        most_critical_path=178.0, slots=4, makespan=41.0, most_makespan=178.0, cycles=(tuple("abcdefgh"),),
        stuck=("no live runner for aarch64",),
    )  # fmt: skip
    assert list(summary_lines(totals)) == [
        "\n9 jobs: 1 to build, 3 maybe, 1 reused, 4 unchanged",
        "  work:           41s to 3m01s",
        "  at best:        41s to 2m58s on 4 slots",
        "  critical path:  41s to 2m58s",
        "  never built:    2 of the jobs; their time is unknown and not included",
        "  cycle:          a, b, c, d, e, f and 2 more",
        "  waits:          no live runner for aarch64",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("crad",), "Did you mean packages/card?"),
        (("--since", "mian"), "Did you mean main?"),
        (("--since", "main"), "no unit has changed since main"),
        (("card", "--target", "bookwrm.x86_64"), "bookworm.x86_64"),
        (("card", "--source", "dmo"), "Did you mean demo?"),
    ],
)
def test_rejected_plan_names_the_cause_or_the_nearest_name(
    mesh: MemoryMesh, ctl: RunCtl, words: tuple[str, ...], expected: str
) -> None:
    assert expected in ctl("plan", *words, code=ExitCode.REJECTED)


def test_large_plan_is_abridged_without_all_rows(mesh: MemoryMesh, ctl: RunCtl) -> None:
    many = {path: content for number in range(MAX_ROWS + 1) for path, content in unit_files(f"u{number:03}").items()}
    mesh.git.repository(URL).commit(files() | many, "large")
    short = ctl("plan", "--all", "--ref", "large")
    assert short.count("packages/u") < 50
    assert "--all-rows shows them" in short
    assert f"{MAX_ROWS + 5} jobs: {MAX_ROWS + 1} to build, 4 reused" in short
    assert f"never built:    {MAX_ROWS + 1} of the jobs" in short
    assert ctl("plan", "--all", "--ref", "large", "--all-rows").count("packages/u") == MAX_ROWS + 1


def test_plan_without_a_scheduler_ends_at_the_timeout(mesh: MemoryMesh, ctl: RunCtl) -> None:
    mesh.kill("scheduler")
    assert "no plan came within 0.3 s" in ctl("plan", "card", "--timeout", "0.3", code=ExitCode.INFRASTRUCTURE)
