"""Tests of requests for an older commit: which jobs are built, and not published."""

from __future__ import annotations

import pytest

from cloud_builder.model.events import NEWER_DIGITS, RequestAccepted
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.request.withhold import withhold_older
from support.factories import job

OLDER, ASKED, NEWER, HEAD = (letter * 40 for letter in "1234")
SAME, OTHER = "b" * 40, "c" * 40


def request(*newer: str, more: bool = False) -> RequestAccepted:
    return RequestAccepted(
        request_id="r",
        source="s",
        ref="v1",
        revision=ASKED,
        units=("p/u1",),
        newer_commits=tuple(revision[:NEWER_DIGITS] for revision in newer),
        more_newer=more,
        accepted_at=1.0,
    )


def requested(number: int = 1, **more) -> JobRecord:
    return job(number, **{"revision": ASKED, "publish": True, **more})


@pytest.mark.parametrize(
    ("published", "head", "is_published"),
    [
        ((), OTHER, True),
        ((OLDER,), OTHER, True),
        ((ASKED,), OTHER, True),
        ((NEWER,), OTHER, False),
        ((HEAD,), OTHER, False),
        ((OLDER, HEAD), OTHER, False),
        ((HEAD,), SAME, False),
        ((), None, False),
    ],
    ids=["never", "older", "same", "newer", "head", "newer-is-being-built", "same-content", "no-longer-a-unit"],
)
def test_older_commit_is_published_unless_a_newer_one_is(published, head, is_published):
    heads = {"p/u1": head} if head else {}
    [after] = withhold_older(request(NEWER, HEAD), [requested()], heads, lambda _: published)
    assert after.publish is is_published
    assert bool(after.notes) is not is_published


def test_head_is_always_published():
    [after] = withhold_older(request(), [requested()], {}, lambda _: (NEWER,))
    assert (after.publish, after.notes) == (True, ())


def test_commit_of_another_history_counts_if_the_list_is_incomplete():
    heads, gone = {"p/u1": OTHER}, "9" * 40
    assert withhold_older(request(HEAD), [requested()], heads, lambda _: (gone,))[0].publish
    assert not withhold_older(request(HEAD, more=True), [requested()], heads, lambda _: (gone,))[0].publish
    assert withhold_older(request(HEAD, more=True), [requested()], heads, lambda _: (ASKED,))[0].publish


def test_what_is_built_with_an_older_unit_is_withheld_too():
    jobs = [requested(1), requested(2, needs=("r.1",)), requested(3, needs=("r.2",), source="other"), requested(4)]
    heads = dict.fromkeys(("p/u1", "p/u2", "p/u4"), OTHER)
    after = withhold_older(request(HEAD), jobs, heads, lambda one: (HEAD,) if one.number == 1 else ())
    assert [one.publish for one in after] == [False, False, False, True]
    assert "built with p/u2 of an older commit" in after[2].notes[0]


def test_unit_that_is_the_same_at_the_head_withholds_no_dependant():
    jobs = [requested(1), requested(2, needs=("r.1",))]
    heads = {"p/u1": SAME, "p/u2": OTHER}
    after = withhold_older(request(HEAD), jobs, heads, lambda one: (HEAD,) if one.number == 1 else ())
    assert [one.publish for one in after] == [False, True]


def test_note_names_the_newer_commit_and_what_to_do():
    [after] = withhold_older(request(HEAD), [requested()], {"p/u1": OTHER}, lambda _: (HEAD,))
    assert after.notes == (
        f"not published, because the repository has those of the newer commit {HEAD[:10]}"
        " (cb-ctl get fetches the packages; --publish-older publishes them)",
    )
