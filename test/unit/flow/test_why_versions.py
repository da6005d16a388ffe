"""Why of published versions: the version that a job replaces, and a version that goes down."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.info_history import InfoHistory, lines

LOWER = "the version goes down: lib 1.1 → 1.0; machines with the higher version keep it"


@pytest.mark.parametrize(
    ("before", "line"),
    [("1.0", "1.0+cb1, replaces 1.0"), ("", "1.0+cb1"), ("1.0+cb1", "1.0+cb1")],
    ids=["higher", "first", "same"],
)
def test_job_names_the_version_that_it_replaces(before: str, line: str) -> None:
    history = InfoHistory()
    history.finished(Outcome.SUCCESS, source_version="1.0+cb1", replaced_version=before, publish=True)
    assert lines(history.one("r.1"), "version") == [line]


def test_job_and_request_report_a_version_that_goes_down() -> None:
    history = InfoHistory().accept()
    versions = {"source_version": "1.0", "replaced_version": "1.1", "publish": True}
    history.finished(Outcome.SUCCESS, **versions, notes=(LOWER,))
    history.apply(e.RequestFinished(request_id="r", source="demo", outcome=RequestOutcome.SUCCESS, finished_at=995.0))
    assert LOWER in lines(history.one("r.1"), "version")
    request = history.one("r")
    assert lines(request, "published") == ["packages/lib for bookworm.x86_64: 1.1 → 1.0"]
    assert lines(request, "note") == [f"packages/lib for bookworm.x86_64: {LOWER}"]
