"""The final event of a request."""

from __future__ import annotations

from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot
from cloud_builder.planning.records import RequestRecord
from cloud_builder.planning.request import outcome
from cloud_builder.planning.request.expand import expand
from support.factories import unit


def test_message_has_one_line_of_each_failure_and_counts_the_others() -> None:
    snapshot = SourceSnapshot("s", Origin("file:///s", "a" * 40), [unit("one"), unit("two")])
    accepted = RequestAccepted(
        request_id="r-1", source="s", ref="main", revision="a" * 40, units=("p/one", "p/two"), accepted_at=1.0
    )
    failed = {"state": JobState.FINISHED, "outcome": Outcome.FAILURE, "message": "a.c:1: error: no\n  | context"}
    jobs = [job.model_copy(update=failed) for job in expand(accepted, build_graph([snapshot]), 1)]
    request = RequestRecord.model_validate({**accepted.model_dump(), "url": "file:///s", "sequence": 1})
    event = outcome.finished_event(request, jobs, "", 2.0)
    assert event.message.splitlines() == [
        "p/one for bookworm.x86_64: a.c:1: error: no (and 1 more)",
        "p/two for bookworm.x86_64: a.c:1: error: no",
    ]
    assert event.jobs[0].message == failed["message"]
