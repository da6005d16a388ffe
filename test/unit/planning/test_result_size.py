"""The result of a request of any size fits into a message, and what went wrong is in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.events import JobResult
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.request.result_size import MAX_BYTES, lines_that_fit

LOG = Artifact(name="u_bookworm.x86_64.log", sha256="0" * 64, size=2**40, kind=ArtifactKind.LOG)


def line(number: int, outcome: Outcome = Outcome.SUCCESS, message: str = "", files: int = 1) -> JobResult:
    package = BinaryPackage(name=f"lib{number}", version="1:2.3-4+b1", architecture="amd64", depends="libc6 (>= 2.34)")
    deb = Artifact(name=f"lib{number}.deb", sha256="f" * 64, size=2**40, kind=ArtifactKind.DEB, package=package)
    return JobResult(
        job_id=f"push-example-0123456789.{number}",
        unit=f"packages/lib{number}",
        target="bookworm.x86_64",
        outcome=outcome,
        message=message,
        artifacts=(deb,) * files,
        log=LOG,
    )


def test_all_jobs_of_a_request_of_usual_size_are_told() -> None:
    lines = [line(number) for number in range(400)]
    assert lines_that_fit(lines) == tuple(lines)


def test_of_very_many_those_that_went_wrong_are_told_in_their_order_with_as_many_others_as_fit() -> None:
    wrong = {7: Outcome.FAILURE, 39_999: Outcome.ERROR}
    lines = [line(number, wrong.get(number, Outcome.SUCCESS)) for number in range(40_000)]
    told = lines_that_fit(lines)
    assert [one for one in told if one.outcome is not Outcome.SUCCESS] == [lines[7], lines[39_999]]
    assert told[:-1] == tuple(lines[: len(told) - 1])
    assert len(told) > 400


def test_one_that_is_too_large_for_any_message_is_told_all_the_same() -> None:
    lines = [line(1, files=5000), line(2)]
    assert lines_that_fit(lines) == (lines[0],)
    assert lines_that_fit([]) == ()


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.text(max_size=60), st.integers(0, 30)), max_size=60))
def test_what_is_told_is_never_larger_than_it_may_be(jobs: list[tuple[Outcome, str, int]]) -> None:
    lines = [line(number, *job) for number, job in enumerate(jobs)]
    most = 20_000
    told = lines_that_fit(lines, most)
    assert len(told) <= 1 or sum(len(one.model_dump_json()) for one in told) <= most < MAX_BYTES
    assert set(told) <= set(lines)
