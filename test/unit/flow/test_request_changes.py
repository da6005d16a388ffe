"""Tests of changes: the units that a request selects by `since`, the files that an announcement lists."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.memory.source import MemorySource
from cloud_builder.errors import Retryable
from cloud_builder.flow.request.announcement import MAX_LISTED_FILES, changes_by_unit, summarize_changes
from cloud_builder.model.events import RequestAccepted, RequestRejected, SourceRevised
from cloud_builder.model.ids import TreeId, UnitPath
from cloud_builder.model.outcome import Kind
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import MAX_FILES, Unit
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


def test_file_belongs_to_each_unit_around_it() -> None:
    units = [unit("projects/a"), unit("projects/a/inner"), unit("projects/ab"), unit("")]
    found = changes_by_unit(units, ["README", "projects/a/x", "projects/a/inner/src/y", "projects/ab/z"])
    assert found == {
        ".": ["README", "projects/a/x", "projects/a/inner/src/y", "projects/ab/z"],
        "a": ["x", "inner/src/y"],
        "a/inner": ["src/y"],
        "ab": ["z"],
    }


def test_only_the_first_files_of_a_unit_are_listed() -> None:
    (change,) = summarize_changes({UnitPath("a"): [f"f{number}" for number in range(100_000)]})
    assert (len(change.files), change.more) == (MAX_FILES, 100_000 - MAX_FILES)


def test_fewer_files_are_listed_for_very_many_units() -> None:
    changes = summarize_changes({UnitPath(str(number)): ["a", "b", "c"] for number in range(MAX_LISTED_FILES)})
    assert {(change.files, change.more) for change in changes} == {(("a",), 2)}


def test_file_name_that_is_not_utf8_is_listed() -> None:
    (change,) = summarize_changes({UnitPath("a"): ["caf\udce9"]})
    assert change.model_dump_json()


# --- changes in an announcement


def test_push_lists_the_files_of_each_unit(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    first = mirror.repository(URL).branches["main"]
    changed = FILES | unit_files("fresh") | {f"{TOP}/tool/src/a.c": b"1", f"{TOP}/tool/b": b"1", "README": b"1"}
    mirror.repository(URL).commit(changed)
    revised = daemon.advance(20)[0]
    assert isinstance(revised, SourceRevised) and revised.since == first
    assert {change.path: change.files for change in revised.changes} == {
        "packages/fresh": (
            ".cb/build_root.kiwi",
            ".cb/cloud_builder.yml",
            "content",
            "debian/changelog",
            "debian/control",
        ),
        "packages/tool": ("b", "src/a.c"),
    }


def test_first_commit_and_commit_off_the_branch_list_no_changes(daemon: RequestHarness, mirror: MemorySource) -> None:
    (first,) = daemon.run()
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/x": b"1"}, "feature")
    daemon.request(ref="feature", units=["tool"])
    for revised in (first, daemon.emitted[-2]):
        assert isinstance(revised, SourceRevised)
        assert (revised.since, revised.changes) == (None, ())


@pytest.mark.parametrize("error", [Retryable("git fails"), MemoryError("full")])
def test_push_is_built_when_its_changes_cannot_be_read(
    daemon: RequestHarness, mirror: MemorySource, error: Exception
) -> None:
    def fail(*_: object) -> list[str]:
        raise error

    daemon.run()
    mirror.changed_files = fail  # type: ignore[assignment,method-assign]
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/x": b"1"})
    revised, accepted = daemon.advance(20)
    assert isinstance(revised, SourceRevised) and (revised.since, revised.changes) == (None, ())
    assert isinstance(accepted, RequestAccepted) and accepted.units == ("packages/tool",)


def test_changes_of_very_many_units_come_in_parts(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.repository(URL).commit({path: content for n in range(250) for path, content in unit_files(f"u{n}").items()})
    parts = [part for part in daemon.advance(20) if isinstance(part, SourceRevised)]
    assert {part.since is None for part in parts} == {False}
    assert sum(len(part.changes) for part in parts) == 250
    assert len(parts) == 3


# --- requests with `since`


@pytest.mark.parametrize("since", ["v1", "main~2", "HEAD~2", "HEAD^^", ""])
def test_since_selects_the_units_that_changed_after_it(
    daemon: RequestHarness, mirror: MemorySource, since: str
) -> None:
    repository = mirror.repository(URL)
    repository.tags["v1"] = first = repository.branches["main"]
    repository.commit(FILES | {f"{TOP}/tool/x": b"1"})
    repository.commit(FILES | {f"{TOP}/tool/x": b"1", f"{TOP}/hello/x": b"1", "README": b"1"})
    accepted = daemon.request(since=since or first[:12], dependants=True)
    assert isinstance(accepted, RequestAccepted)
    assert accepted.units == ("packages/hello", "packages/tool")
    assert (accepted.dependants, accepted.publish, accepted.priority) == (True, True, Priority.NORMAL)


def test_since_may_name_another_branch(daemon: RequestHarness, mirror: MemorySource) -> None:
    mirror.repository(URL).commit(
        FILES | {f"{TOP}/tool/x": b"1"}, "feature", onto=mirror.repository(URL).branches["main"]
    )
    accepted = daemon.request(since="main", ref="feature")
    assert isinstance(accepted, RequestAccepted) and accepted.units == ("packages/tool",)


@pytest.mark.parametrize(
    ("since", "code", "message", "hint"),
    [
        ("mian", "unknown-ref", 'no branch, tag or commit "mian"', "Did you mean main?"),
        ("0123456789", "unknown-ref", '"0123456789"', "a branch, a tag or a commit"),
        ("main", "nothing-changed", "no unit has changed since main", "name units or say all"),
    ],
)
def test_since_without_a_commit_or_change_is_rejected(
    daemon: RequestHarness, since: str, code: str, message: str, hint: str
) -> None:
    rejected = daemon.request(since=since)
    assert isinstance(rejected, RequestRejected) and rejected.code == code
    assert message in rejected.message and hint in rejected.hint


def test_since_waits_while_git_fails(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    first = mirror.repository(URL).branches["main"]
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/x": b"1"})
    tree_id = mirror.tree_id

    def fail(*_: object) -> TreeId:
        raise Retryable("git fails")

    mirror.tree_id = fail  # type: ignore[assignment,method-assign]
    assert not isinstance(daemon.request(since=first), RequestRejected)
    mirror.tree_id = tree_id  # type: ignore[assignment,method-assign]
    emitted = daemon.advance(2)
    assert isinstance(emitted[-1], RequestAccepted) and emitted[-1].units == ("packages/tool",)


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"all": True}, Priority.BULK),
        ({"units": ["hello"]}, Priority.NORMAL),
        ({"all": True, "priority": "interactive"}, Priority.INTERACTIVE),
    ],
)
def test_request_for_all_units_has_bulk_priority(
    daemon: RequestHarness, fields: dict[str, object], priority: Priority
) -> None:
    accepted = daemon.request(**fields, deadline=600, plan=True)
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.priority, accepted.deadline, accepted.plan, accepted.source) == (priority, 600.0, True, DEMO)


def test_changed_file_belongs_to_the_units_that_link_to_it() -> None:
    units = [unit(f"{TOP}/one"), unit(f"{TOP}/two")]
    links = {units[0].path: {"debian": "common/debian"}, units[1].path: {"rules": "common/debian/rules"}}
    files = ["common/debian/rules", "common/debian-old", f"{TOP}/two/x"]
    assert changes_by_unit(units, files, links) == {
        units[0].path: ["debian/rules"],
        units[1].path: ["x", "rules"],
    }


# --- deleted units


def without(name: str) -> dict[str, bytes]:
    return {path: content for path, content in FILES.items() if not path.startswith(f"{TOP}/{name}/")}


def test_push_that_only_deletes_a_unit_is_a_request(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.repository(URL).commit(without("tool"))
    revised, accepted = daemon.advance(20)
    assert isinstance(revised, SourceRevised) and isinstance(accepted, RequestAccepted)
    assert (accepted.units, accepted.origin) == ((), "push")
    assert [(unit.path, unit.provides) for unit in accepted.deleted] == [("packages/tool", ("tool",))]


def test_since_names_the_units_that_were_deleted_after_it(daemon: RequestHarness, mirror: MemorySource) -> None:
    mirror.repository(URL).commit(without("tool"))
    accepted = daemon.request(since="main~1")
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.units, [unit.path for unit in accepted.deleted]) == ((), ["packages/tool"])


def test_deleted_unit_that_was_broken_provides_nothing(daemon: RequestHarness, mirror: MemorySource) -> None:
    mirror.repository(URL).commit(FILES | {f"{TOP}/tool/debian/control": b"Source"})
    daemon.run()
    mirror.repository(URL).commit(without("tool"))
    accepted = daemon.advance(20)[1]
    assert isinstance(accepted, RequestAccepted)
    assert [unit.provides for unit in accepted.deleted] == [()]
