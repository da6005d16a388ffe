"""The result of a request of any size fits into a message and has the failed jobs."""

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


def test_all_results_of_a_request_of_usual_size_are_kept() -> None:
    lines = [line(number) for number in range(400)]
    assert lines_that_fit(lines) == tuple(lines)


def test_failed_jobs_are_kept_with_as_many_others_as_fit() -> None:
    failed = {7: Outcome.FAILURE, 39_999: Outcome.ERROR}
    lines = [line(number, failed.get(number, Outcome.SUCCESS)) for number in range(40_000)]
    kept = lines_that_fit(lines)
    assert [result for result in kept if result.outcome is not Outcome.SUCCESS] == [lines[7], lines[39_999]]
    assert kept[:-1] == tuple(lines[: len(kept) - 1])
    assert len(kept) > 400


def test_result_that_is_too_large_for_any_message_is_kept_alone() -> None:
    lines = [line(1, files=5000), line(2)]
    assert lines_that_fit(lines) == (lines[0],)
    assert lines_that_fit([]) == ()


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.text(max_size=60), st.integers(0, 30)), max_size=60))
def test_kept_results_never_exceed_the_limit(jobs: list[tuple[Outcome, str, int]]) -> None:
    lines = [line(number, *job) for number, job in enumerate(jobs)]
    limit = 20_000
    kept = lines_that_fit(lines, limit)
    assert len(kept) <= 1 or sum(len(result.model_dump_json()) for result in kept) <= limit < MAX_BYTES
    assert set(kept) <= set(lines)
