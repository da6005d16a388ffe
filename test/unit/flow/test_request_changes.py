"""What changed since: units that a wish means by a commit, files that an announcement names."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.memory.source import MemorySource
from cloud_builder.errors import Retryable
from cloud_builder.flow.request.announcement import MAX_LISTED_FILES, changes_by_unit, summarize_changes
from cloud_builder.model.events import RequestAccepted, RequestRejected, SourceRevised
from cloud_builder.model.ids import UnitPath
from cloud_builder.model.outcome import Kind
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import MOST_FILES, Unit
from support.factories import unit_files
from support.request_harness import DEMO, FILES, URL, RequestHarness

TOP = "projects/packages"


def unit(directory: str) -> Unit:
    return Unit(
        path=UnitPath(directory.removeprefix("projects/") or "."),
        directory=directory,
        name="x",
        kind=Kind.PACKAGE,
        tree="t",
        targets=(),
    )


# --- files → units


def test_a_file_belongs_to_each_unit_around_it() -> None:
    units = [unit("projects/a"), unit("projects/a/inner"), unit("projects/ab"), unit("")]
    found = changes_by_unit(units, ["README", "projects/a/x", "projects/a/inner/src/y", "projects/ab/z"])
    assert found == {
        ".": ["README", "projects/a/x", "projects/a/inner/src/y", "projects/ab/z"],
        "a": ["x", "inner/src/y"],
        "a/inner": ["src/y"],
        "ab": ["z"],
    }


def test_only_the_first_files_of_a_unit_are_named() -> None:
    (change,) = summarize_changes({UnitPath("a"): [f"f{number}" for number in range(100_000)]})
    assert (len(change.files), change.more) == (MOST_FILES, 100_000 - MOST_FILES)


def test_of_very_many_units_fewer_files_are_named() -> None:
    changes = summarize_changes({UnitPath(str(number)): ["a", "b", "c"] for number in range(MAX_LISTED_FILES)})
    assert {(change.files, change.more) for change in changes} == {(("a",), 2)}


def test_a_name_that_is_not_utf8_can_be_told() -> None:
    (change,) = summarize_changes({UnitPath("a"): ["caf\udce9"]})
    assert change.model_dump_json()


# --- what an announcement tells


def test_a_push_tells_the_files_of_each_unit(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.settle()
    first = mirror.repository(URL).branches["main"]
    changed = FILES | unit_files("fresh") | {f"{TOP}/tool/src/a.c": b"1", f"{TOP}/tool/b": b"1", "README": b"1"}
    mirror.repository(URL).commit(changed)
    revised = daemon.later(20)[0]
    assert isinstance(revised, SourceRevised) and revised.since == first
    assert {change.path: change.files for change in revised.changes} == {
        "packages/fresh": (".cb/build_root.kiwi", ".cb/cloud_builder.yml", "content", "debian/control"),
        "packages/tool": ("b", "src/a.c"),
    }


def test_the_first_sight_and_a_commit_off_the_branch_tell_no_changes(
    daemon: RequestHarness, mirror: MemorySource
) -> None:
    (first,) = daemon.settle()
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/x": b"1"}, "feature")
    daemon.ask(ref="feature", units=["tool"])
    for revised in (first, daemon.told[-2]):
        assert isinstance(revised, SourceRevised)
        assert (revised.since, revised.changes) == (None, ())


@pytest.mark.parametrize("error", [Retryable("git is ill"), MemoryError("full")])
def test_changes_that_cannot_be_told_stop_no_push(
    daemon: RequestHarness, mirror: MemorySource, error: Exception
) -> None:
    def ill(*_: object) -> list[str]:
        raise error

    daemon.settle()
    mirror.changed_files = ill  # type: ignore[assignment,method-assign]
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/x": b"1"})
    revised, accepted = daemon.later(20)
    assert isinstance(revised, SourceRevised) and (revised.since, revised.changes) == (None, ())
    assert isinstance(accepted, RequestAccepted) and accepted.units == ("packages/tool",)


def test_changes_of_very_many_units_come_in_parts(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.settle()
    mirror.repository(URL).commit({path: content for n in range(250) for path, content in unit_files(f"u{n}").items()})
    parts = [part for part in daemon.later(20) if isinstance(part, SourceRevised)]
    assert {part.since is None for part in parts} == {False}
    assert sum(len(part.changes) for part in parts) == 250
    assert len(parts) == 3


# --- what a wish means


@pytest.mark.parametrize("since", ["v1", "main~2", "HEAD~2", "HEAD^^", ""])
def test_since_means_the_units_that_changed_after_it(daemon: RequestHarness, mirror: MemorySource, since: str) -> None:
    repository = mirror.repository(URL)
    repository.tags["v1"] = first = repository.branches["main"]
    repository.commit(FILES | {f"{TOP}/tool/x": b"1"})
    repository.commit(FILES | {f"{TOP}/tool/x": b"1", f"{TOP}/hello/x": b"1", "README": b"1"})
    accepted = daemon.ask(since=since or first[:12], dependants=True)
    assert isinstance(accepted, RequestAccepted)
    assert accepted.units == ("packages/hello", "packages/tool")
    assert (accepted.dependants, accepted.publish, accepted.priority) == (True, True, Priority.NORMAL)


def test_since_on_another_branch(daemon: RequestHarness, mirror: MemorySource) -> None:
    mirror.repository(URL).commit(
        FILES | {f"{TOP}/tool/x": b"1"}, "feature", onto=mirror.repository(URL).branches["main"]
    )
    accepted = daemon.ask(since="main", ref="feature")
    assert isinstance(accepted, RequestAccepted) and accepted.units == ("packages/tool",)


@pytest.mark.parametrize(
    ("since", "code", "message", "hint"),
    [
        ("mian", "unknown-ref", 'no branch, tag or commit "mian"', "Did you mean main?"),
        ("0123456789", "unknown-ref", '"0123456789"', "a branch, a tag or a commit"),
        ("main", "nothing-changed", "no unit has changed since main", "name units or say all"),
    ],
)
def test_since_that_means_nothing_is_rejected(
    daemon: RequestHarness, since: str, code: str, message: str, hint: str
) -> None:
    rejected = daemon.ask(since=since)
    assert isinstance(rejected, RequestRejected) and rejected.code == code
    assert message in rejected.message and hint in rejected.hint


def test_since_waits_while_git_is_ill(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.settle()
    first = mirror.repository(URL).branches["main"]
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/x": b"1"})
    works = mirror.changed_files

    def ill(*_: object) -> list[str]:
        raise Retryable("git is ill")

    mirror.changed_files = ill  # type: ignore[assignment,method-assign]
    assert not isinstance(daemon.ask(since=first), RequestRejected)
    mirror.changed_files = works  # type: ignore[assignment,method-assign]
    told = daemon.later(2)
    assert isinstance(told[-1], RequestAccepted) and told[-1].units == ("packages/tool",)


@pytest.mark.parametrize(
    ("wish", "priority"),
    [
        ({"all": True}, Priority.BULK),
        ({"units": ["hello"]}, Priority.NORMAL),
        ({"all": True, "priority": "interactive"}, Priority.INTERACTIVE),
    ],
)
def test_who_wants_everything_can_wait(daemon: RequestHarness, wish: dict[str, object], priority: Priority) -> None:
    accepted = daemon.ask(**wish, deadline=600, plan=True)
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.priority, accepted.deadline, accepted.plan, accepted.source) == (priority, 600.0, True, DEMO)
