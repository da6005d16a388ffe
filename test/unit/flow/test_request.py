"""Tests of cb-request's flow with a git in memory: requests, rejections, pushes, sources, restarts."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from cloud_builder.adapters.memory.source import MemorySource
from cloud_builder.errors import Rejected
from cloud_builder.flow.request.retries import SOURCE_TIMEOUT
from cloud_builder.model.events import (
    BuildRequested,
    RequestAccepted,
    RequestFinished,
    RequestRejected,
    SourceAddRequested,
    SourceRemoved,
    SourceRemoveRequested,
    SourceRevised,
    SourceTroubled,
)
from cloud_builder.model.ids import RequestId, SourceName
from cloud_builder.model.outcome import RequestOutcome
from cloud_builder.model.settings import SourceSettings
from support.factories import unit_files
from support.request_harness import DEMO, FILES, URL, RequestHarness
from support.waiting import until
from support.work import RecordingWork

BROKEN = {"projects/packages/bad/.cb/cloud_builder.yml": b"schema_version: 1.0\nname: bad\ndistribution: []\n"}


def test_source_of_the_settings_is_announced_and_not_built(daemon: RequestHarness) -> None:
    (revised,) = daemon.run()
    assert isinstance(revised, SourceRevised)
    assert (revised.source, revised.branch, revised.followed, revised.parts) == ("demo", "main", True, 1)
    assert [unit.path for unit in revised.units] == ["packages/hello", "packages/libgreet", "packages/tool"]
    hello = revised.units[0]
    assert (hello.directory, hello.provides, hello.build_depends) == (
        "projects/packages/hello",
        ("hello",),
        "debhelper, libgreet",
    )
    assert hello.buildroot == sha256(b"<image/>").hexdigest()
    assert daemon.advance(60) == []


def test_accepted_request_is_pinned_after_its_snapshot(daemon: RequestHarness) -> None:
    accepted = daemon.request(units=["packages/hello"], requester="me")
    assert isinstance(accepted, RequestAccepted)
    revised = daemon.emitted[-2]
    assert isinstance(revised, SourceRevised) and revised.revision == accepted.revision
    assert (accepted.units, accepted.ref, accepted.publish, accepted.dependants) == (
        ("packages/hello",),
        "main",
        True,
        False,
    )


@pytest.mark.parametrize("name", ["packages/hello", "projects/packages/hello", "hello", "./packages/hello/"])
def test_unit_may_be_named_by_path_directory_or_name(daemon: RequestHarness, name: str) -> None:
    accepted = daemon.request(units=[name, "packages/hello"])
    assert isinstance(accepted, RequestAccepted)
    assert accepted.units == ("packages/hello",)


def test_commit_off_the_branch_is_built_and_not_published(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    off = mirror.repository(URL).commit(FILES | {"README": b"x"}, "feature")
    accepted = daemon.request(ref="feature", units=["hello"])
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.revision, accepted.publish, accepted.ref) == (off, False, "feature")
    revised = daemon.emitted[-2]
    assert isinstance(revised, SourceRevised) and not revised.followed
    back = daemon.request(units=["hello"], request_id="r-2")
    assert isinstance(back, RequestAccepted) and back.publish
    again = daemon.emitted[-2]
    assert isinstance(again, SourceRevised) and again.followed, "readers keep one commit a source"


REJECTIONS = [
    ({"source": "dmo", "all": True}, "unknown-source", 'no source "dmo"', "Did you mean demo?"),
    ({"ref": "mian", "all": True}, "unknown-ref", '"mian"', "Did you mean main?"),
    ({"ref": "0123456789", "all": True}, "unknown-ref", '"0123456789"', ""),
    ({"units": ["packages/helo"]}, "unknown-unit", 'no unit "packages/helo"', "Did you mean packages/hello?"),
    ({"units": ["hello", "zzz"]}, "unknown-unit", 'no unit "zzz"', "packages/bad, packages/hello"),
    ({"units": ["hello"], "targets": ["bookwrm.x86_64"]}, "unknown-target", '"bookwrm.x86_64"', "bookworm.x86_64?"),
    ({"units": ["hello"], "targets": ["trixie.x86_64"]}, "unknown-target", "trixie.x86_64", "bookworm.x86_64"),
    ({"units": ["hello"], "profiles": ["nochek"]}, "unknown-profile", '"nochek"', "Did you mean nocheck?"),
    ({"all": True, "targets": ["nowhere"]}, "unknown-target", '"nowhere"', "bookworm.x86_64"),
    ({"units": ["bad unit"]}, "broken-unit", "bad unit: the path has parts or characters", "Use letters, digits"),
]


@pytest.mark.parametrize(("fields", "code", "message", "hint"), REJECTIONS)
def test_rejection_names_thing_cause_and_nearest_name(
    daemon: RequestHarness, fields: dict[str, Any], code: str, message: str, hint: str
) -> None:
    daemon.mirror.repository(URL).commit(FILES | BROKEN | {"bad unit/.cb/cloud_builder.yml": b""})
    rejected = daemon.request(**fields, requester="me")
    assert isinstance(rejected, RequestRejected)
    assert rejected.code == code
    assert message in rejected.message
    assert hint in rejected.hint
    assert (rejected.request_id, rejected.requester) == ("r-1", "me")


@pytest.mark.parametrize("fields", [{"all": True}, {"units": ["bad", "hello"]}])
def test_broken_unit_is_accepted_beside_the_healthy_ones(daemon: RequestHarness, fields: dict[str, Any]) -> None:
    daemon.mirror.repository(URL).commit(FILES | BROKEN)
    accepted = daemon.request(**fields)
    assert isinstance(accepted, RequestAccepted)
    assert {"packages/bad", "packages/hello"} <= {*accepted.units}
    (problem,) = accepted.problems
    assert str(problem).startswith("projects/packages/bad/.cb/cloud_builder.yml:3: unknown key distribution")
    assert problem.hint == "Did you mean distributions?"
    revised = daemon.emitted[-2]
    assert isinstance(revised, SourceRevised) and revised.problems == ()
    assert [(unit.path, unit.problems) for unit in revised.units if unit.problems] == [("packages/bad", (problem,))]


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        ("debian/control", b"Source: hello\n\n<<<<<<< HEAD\n", 3),
        (".cb/cloud_builder.yml", b"schema_version: 1.0\nname: hello\nfoo: 1\n", 3),
    ],
)
def test_push_that_breaks_a_unit_makes_a_request(daemon: RequestHarness, file: str, content: bytes, line: int) -> None:
    readable = daemon.run()[0]
    assert isinstance(readable, SourceRevised)
    daemon.mirror.repository(URL).commit(FILES | {f"projects/packages/hello/{file}": content})
    revised, accepted = daemon.advance(60)
    assert isinstance(revised, SourceRevised) and isinstance(accepted, RequestAccepted)
    assert (accepted.origin, accepted.units) == ("push", ("packages/hello",))
    before, broken = (next(unit for unit in event.units if unit.name == "hello") for event in (readable, revised))
    assert broken.problems == accepted.problems
    problem = broken.problems[0]
    assert (problem.file, problem.line) == (f"projects/packages/hello/{file}", line)
    assert (broken.targets, broken.provides, broken.build_depends) == (
        before.targets,
        before.provides,
        before.build_depends,
    )
    assert broken.tree != before.tree


def test_broken_unit_has_its_last_readable_state_at_any_commit(daemon: RequestHarness) -> None:
    repository = daemon.mirror.repository(URL)
    for number in range(3):
        repository.commit(FILES | {"projects/packages/hello/debian/control": b"<<<<<<< %d" % number})
    accepted = daemon.request(since="HEAD~1")
    assert isinstance(accepted, RequestAccepted) and accepted.units == ("packages/hello",)
    revised = daemon.emitted[-2]
    assert isinstance(revised, SourceRevised)
    assert [unit.provides for unit in revised.units if unit.problems] == [("hello",)]


def test_broken_unit_is_changed_by_its_files_and_by_its_repair(daemon: RequestHarness) -> None:
    repository = daemon.mirror.repository(URL)
    repository.commit(FILES | BROKEN)
    daemon.run()
    repository.commit(FILES | BROKEN | {"README": b"x"})
    assert not [event for event in daemon.advance(60) if isinstance(event, RequestAccepted)], "still broken, unchanged"
    repository.commit(FILES | unit_files("bad"))
    accepted = daemon.advance(60)[-1]
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.units, accepted.problems) == (("packages/bad",), ())


def test_broken_unit_of_unknown_targets_is_named_with_every_target(daemon: RequestHarness) -> None:
    daemon.mirror.repository(URL).commit(FILES | BROKEN)
    accepted = daemon.request(all=True, targets=["bookworm.x86_64"])
    assert isinstance(accepted, RequestAccepted) and "packages/bad" in accepted.units


def test_ambiguous_unit_name_is_rejected(daemon: RequestHarness, mirror: MemorySource) -> None:
    twice = {path.replace("packages", "other"): content for path, content in unit_files("hello").items()}
    mirror.repository(URL).commit(FILES | twice)
    rejected = daemon.request(units=["hello"])
    assert isinstance(rejected, RequestRejected)
    assert (rejected.code, rejected.hint) == ("ambiguous-unit", "Name one of: other/hello, packages/hello")


@pytest.mark.parametrize("targets", [["bookworm.x86_64"], ["sid.x86_64"]])
def test_request_for_all_units_selects_those_with_the_target(
    daemon: RequestHarness, mirror: MemorySource, targets: list[str]
) -> None:
    both = unit_files("both", targets="{dist: bookworm, arch: x86_64}, {dist: sid, arch: x86_64}")
    mirror.repository(URL).commit(both | unit_files("one"))
    accepted = daemon.request(all=True, targets=targets)
    assert isinstance(accepted, RequestAccepted)
    assert accepted.units == (("packages/both",) if "sid.x86_64" in targets else ("packages/both", "packages/one"))


# --- pushes


def test_push_builds_changed_units_and_dependants_once(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    changed = FILES | {"projects/packages/libgreet/new.c": b"int x;"} | unit_files("fresh")
    revision = mirror.repository(URL).commit(changed)
    revised, accepted = daemon.advance(daemon.settings.poll_interval)
    assert isinstance(revised, SourceRevised) and revised.followed
    assert isinstance(accepted, RequestAccepted)
    assert accepted.units == ("packages/fresh", "packages/libgreet")
    assert (accepted.origin, accepted.requester, accepted.dependants) == ("push", "push", True)
    assert accepted.request_id == f"push-demo-{revision[:10]}"
    assert daemon.advance(60) == []
    daemon.start()
    assert daemon.advance(60) == []


def test_another_branch_checked_out_in_the_repository_is_not_followed(
    daemon: RequestHarness, mirror: MemorySource
) -> None:
    daemon.run()
    repository = mirror.repository(URL)
    repository.commit(FILES | unit_files("trial"), "topic")
    repository.head = "topic"
    assert daemon.advance(20) == []
    repository.commit(FILES | unit_files("fresh"))
    assert [type(event) for event in daemon.advance(20)] == [SourceRevised, RequestAccepted]


def test_deleted_default_branch_is_replaced_by_the_new_one(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    repository = mirror.repository(URL)
    repository.commit(FILES, "trunk")
    repository.head = "trunk"
    del repository.branches["main"]
    (revised,) = daemon.advance(20)
    assert isinstance(revised, SourceRevised) and revised.branch == "trunk"


def test_push_that_changes_no_unit_builds_nothing(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.repository(URL).commit(FILES | {"README": b"x"})
    emitted = daemon.advance(20)
    assert [type(event) for event in emitted] == [SourceRevised]


def test_push_may_be_switched_off(mirror: MemorySource) -> None:
    daemon = RequestHarness(mirror, build_on_push=False)
    daemon.run()
    mirror.repository(URL).commit(unit_files("hello"))
    assert [type(event) for event in daemon.advance(20)] == [SourceRevised]


def test_push_while_the_daemon_was_down_is_noticed(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.repository(URL).commit(FILES | {"projects/packages/tool/x": b"x"})
    daemon.start()
    assert [type(event) for event in daemon.run()] == [SourceRevised, RequestAccepted]


def test_each_forced_push_has_its_own_request_id(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    repository = mirror.repository(URL)
    first = repository.branches["main"]
    second = repository.commit(FILES | {"projects/packages/tool/x": b"x"})
    ids = []
    for revision in (second, first, second):
        repository.branches["main"] = revision
        emitted = daemon.advance(20)
        assert isinstance(emitted[-1], RequestAccepted)
        ids.append(emitted[-1].request_id)
    assert len(set(ids)) == 3


def test_unit_that_was_fixed_is_built(daemon: RequestHarness, mirror: MemorySource) -> None:
    mirror.repository(URL).commit(FILES | BROKEN)
    daemon.run()
    mirror.repository(URL).commit(FILES | unit_files("bad"))
    emitted = daemon.advance(20)
    assert isinstance(emitted[-1], RequestAccepted)
    assert emitted[-1].units == ("packages/bad",)


def test_other_state_of_package_repositories_is_only_announced(daemon: RequestHarness) -> None:
    daemon.run()
    daemon.states.value = "two"
    emitted = daemon.advance(20)
    assert [type(event) for event in emitted] == [SourceRevised]


def test_large_source_comes_in_parts(mirror: MemorySource) -> None:
    files = {path: content for n in range(450) for path, content in unit_files(f"unit{n}").items()}
    mirror.repository(URL).commit(files)
    emitted = RequestHarness(mirror).run()
    assert [(part.part, part.parts, len(part.units)) for part in emitted if isinstance(part, SourceRevised)] == [
        (0, 3, 200),
        (1, 3, 200),
        (2, 3, 50),
    ]


# --- sources by event


def test_source_is_added_and_removed_by_events(mirror: MemorySource) -> None:
    daemon = RequestHarness(mirror, {})
    daemon.send(SourceAddRequested(source=DEMO, url=URL))
    assert [type(event) for event in daemon.run()] == [SourceRevised]
    daemon.send(SourceAddRequested(source=DEMO, url=URL))
    assert daemon.run() == []
    daemon.start()
    assert daemon.run() == []
    daemon.send(SourceRemoveRequested(source=DEMO))
    assert [type(event) for event in daemon.emitted[1:]] == [SourceRemoved]
    assert isinstance(daemon.request(all=True), RequestRejected)
    with pytest.raises(Rejected) as caught:
        daemon.send(SourceRemoveRequested(source=DEMO))
    assert caught.value.code == "unknown-source"


def test_other_url_or_branch_is_announced_and_not_built(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.repository(URL).commit(unit_files("hello"), "next")
    daemon.send(SourceAddRequested(source=DEMO, url=URL, branch="next"))
    (revised,) = daemon.run()
    assert isinstance(revised, SourceRevised) and revised.branch == "next"


# --- ids, timeouts, restarts


def test_repeated_request_is_answered_once_and_its_id_is_taken(daemon: RequestHarness) -> None:
    daemon.request(units=["hello"])
    emitted = len(daemon.emitted)
    daemon.request(units=["hello"])
    assert len(daemon.emitted) == emitted
    with pytest.raises(Rejected) as caught:
        daemon.request(units=["tool"])
    assert caught.value.code == "request-id-taken"
    daemon.send(
        RequestFinished(request_id=RequestId("r-1"), source=DEMO, outcome=RequestOutcome.SUCCESS, finished_at=1.0)
    )
    daemon.request(units=["hello"])
    assert len(daemon.emitted) == emitted


def test_rejected_request_may_be_sent_again(daemon: RequestHarness, mirror: MemorySource) -> None:
    assert isinstance(daemon.request(units=["fresh"]), RequestRejected)
    mirror.repository(URL).commit(FILES | unit_files("fresh"))
    assert isinstance(daemon.request(units=["fresh"]), RequestAccepted)


def test_request_uses_the_commit_that_was_pushed_before_it(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    revision = mirror.repository(URL).commit(FILES | {"README": b"new"})
    accepted = daemon.request(units=["hello"])
    assert isinstance(accepted, RequestAccepted) and accepted.revision == revision


def test_request_waits_for_an_unreachable_source_then_is_rejected(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.is_reachable = False
    assert not isinstance(daemon.request(units=["hello"]), RequestRejected)
    assert daemon.advance(5) == []
    daemon.start()
    mirror.is_reachable = True
    assert isinstance(daemon.advance(10)[-1], RequestAccepted)
    mirror.is_reachable = False
    daemon.request(units=["hello"], request_id="r-2")
    daemon.advance(5)
    rejected = daemon.advance(SOURCE_TIMEOUT)[-1]
    assert isinstance(rejected, RequestRejected)
    assert (rejected.code, rejected.request_id) == ("source-unreachable", "r-2")


def test_source_error_and_recovery_are_each_reported_once(daemon: RequestHarness, mirror: MemorySource) -> None:
    daemon.run()
    mirror.is_reachable = False
    emitted = [*daemon.advance(60), *daemon.advance(60)]
    [trouble] = [event for event in emitted if isinstance(event, SourceTroubled)]
    assert (trouble.source, trouble.code, bool(trouble.message)) == ("demo", "source-unreachable", True)
    daemon.send(SourceAddRequested(source=SourceName("demo"), url=URL))
    assert [event.message for event in daemon.run() if isinstance(event, SourceTroubled)] == [trouble.message]
    mirror.is_reachable = True
    assert [event.message for event in daemon.advance(60) if isinstance(event, SourceTroubled)] == [""]
    assert daemon.advance(60) == []


def test_unreachable_source_does_not_hold_up_the_others(mirror: MemorySource) -> None:
    sources = {"demo": SourceSettings(url=URL), "gone": SourceSettings(url="memory:gone")}
    daemon = RequestHarness(mirror, sources)
    daemon.send(BuildRequested(source=SourceName("gone"), all=True, request_id=RequestId("r-0")))
    assert isinstance(daemon.request(units=["hello"]), RequestAccepted)


def test_open_requests_are_emitted_again_to_a_new_broker(daemon: RequestHarness, mirror: MemorySource) -> None:
    off = mirror.repository(URL).commit(FILES | {"README": b"x"}, "feature")
    first = daemon.request(ref=off, units=["hello"])
    second = daemon.request(units=["tool"], request_id="r-2")
    done = daemon.request(units=["libgreet"], request_id="r-3")
    assert isinstance(done, RequestAccepted)
    daemon.send(
        RequestFinished(request_id=done.request_id, source=DEMO, outcome=RequestOutcome.SUCCESS, finished_at=1.0)
    )
    daemon.start()
    daemon.do(daemon.flow.republish)
    emitted = daemon.run()
    assert [event for event in emitted if isinstance(event, RequestAccepted)] == [first, second]
    announced = None
    for event in emitted:
        if isinstance(event, SourceRevised):
            announced = event.revision
        elif isinstance(event, RequestAccepted):
            assert event.revision == announced, "a snapshot is announced before the requests that are pinned to it"


def test_rolled_back_transaction_loses_nothing(daemon: RequestHarness) -> None:
    daemon.run()
    daemon.send(BuildRequested(source=DEMO, units=("hello",), request_id=RequestId("r-1")))
    with pytest.raises(ZeroDivisionError), daemon.state.transaction():
        work = RecordingWork(daemon.state, daemon.now)
        daemon.flow.tick(work)
        until(lambda: daemon.flow.tick(work) or work.emitted, "the request is answered")
        raise ZeroDivisionError
    daemon.flow.restore(daemon.state)
    assert isinstance(daemon.run()[-1], RequestAccepted)


@pytest.mark.parametrize(
    ("value", "reason", "request_id"),
    [
        (b'{"request_id": "ci-7", "source": "demo"}', "build.requested: name the units", "ci-7"),
        (b'{"request_id": 7}', "build.requested: source: missing", None),
        (b"{", "build.requested: not valid JSON", None),
        (b"[1]", "build.requested: not an object", None),
        (b"\xff", "header ce_id: missing", None),
        (None, "build.requested: the message has no body", None),
        (b"[" * 100_000, "build.requested: nested too deeply", None),
    ],
)
def test_malformed_message_is_answered(
    daemon: RequestHarness, value: bytes | None, reason: str, request_id: str | None
) -> None:
    emitted = daemon.do(lambda work: daemon.flow.reject(value, reason, work))
    (rejected,) = emitted
    assert isinstance(rejected, RequestRejected)
    assert (rejected.code, rejected.message) == ("malformed", reason)
    assert rejected.request_id == request_id if request_id else rejected.request_id.startswith("malformed-")
    assert '"units"' in rejected.hint


def test_malformed_message_does_not_reject_an_accepted_request(daemon: RequestHarness) -> None:
    daemon.request(units=["hello"])
    assert daemon.do(lambda work: daemon.flow.reject(b'{"request_id": "r-1"}', "build.requested: x", work)) == []
    assert daemon.do(lambda work: daemon.flow.reject(b"{}", "source.add-requested: url: missing", work)) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_first_push_to_an_empty_source_is_built(mirror: MemorySource, *, restarts: bool) -> None:
    repository = mirror.repository("memory:empty")
    daemon = RequestHarness(mirror, {"demo": SourceSettings(url="memory:empty")})
    (troubled,) = daemon.run()
    assert isinstance(troubled, SourceTroubled) and "no commits yet" in troubled.message
    if restarts:
        daemon.start()
    repository.commit(FILES)
    events = daemon.advance(60)
    assert [type(event) for event in events] == [SourceRevised, RequestAccepted, SourceTroubled]
    accepted = events[1]
    assert isinstance(accepted, RequestAccepted)
    assert (accepted.origin, accepted.units) == ("push", ("packages/hello", "packages/libgreet", "packages/tool"))


@pytest.mark.parametrize("forced", [False, True])
def test_units_between_the_heads_of_a_renamed_branch_are_built(daemon: RequestHarness, *, forced: bool) -> None:
    daemon.run()
    repository = daemon.mirror.repository(URL)
    old = repository.branches.pop("main")
    onto = repository.commit({"README": b"x"}, "other") if forced else old
    repository.commit(FILES | unit_files("hello", content="new"), "trunk", onto=onto)
    repository.head = "trunk"
    repository.branches.pop("other", None)
    daemon.start()
    revised, accepted = daemon.advance(86400)
    assert isinstance(revised, SourceRevised) and isinstance(accepted, RequestAccepted)
    assert (revised.branch, accepted.ref, accepted.units) == ("trunk", "trunk", ("packages/hello",))
    assert daemon.advance(60) == []
