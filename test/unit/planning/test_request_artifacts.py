"""The index of a request's artifacts finds what a search through all needs of a job finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.inputs.closure import Find, find_in
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.relations import Alternative
from support.factories import deb, job

NAMES = ["a", "b", "c"]
PROVIDES = ["", *NAMES, *(f"{name} (= {version})" for name in NAMES for version in (1, 2))]
ALTERNATIVES = [Alternative(name, *relation) for name in NAMES for relation in ((), ("=", "1"), (">=", "2"))]


def finished(number: int, **more: object) -> JobRecord:
    return job(number, **{"state": JobState.FINISHED, "outcome": Outcome.SUCCESS, **more})


@st.composite
def requests(draw: st.DrawFn) -> dict[str, JobRecord]:
    jobs = {}
    for number in range(1, draw(st.integers(1, 12)) + 1):
        needs = draw(st.sets(st.integers(1, number - 1), max_size=3)) if number > 1 else set()
        makes = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(PROVIDES)), max_size=2))
        debs = tuple(deb(name, content=f"{number}.{n}", provides=provides) for n, (name, provides) in enumerate(makes))
        jobs[f"r.{number}"] = finished(number, needs=tuple(f"r.{need}" for need in sorted(needs)), artifacts=debs)
    return jobs


def naive_find(job: JobRecord, jobs: dict[str, JobRecord]) -> Find:
    seen: set[str] = set()
    todo = list(job.needs)
    while todo:
        key = todo.pop()
        if key not in seen:
            seen.add(key)
            todo += jobs[key].needs
    return find_in(artifact for key in sorted(seen) for artifact in jobs[key].artifacts)


@given(requests(), st.randoms(use_true_random=False))
def test_find_returns_what_a_search_through_all_needs_returns(jobs, chance):
    artifacts = RequestArtifacts(jobs)
    for each in chance.sample(list(jobs.values()), len(jobs)):
        artifacts.add(each)
        artifacts.add(each)
    for each in jobs.values():
        naive = naive_find(each, jobs)
        for alternative in ALTERNATIVES:
            found = artifacts.find(each, alternative)
            assert (found[0] if found else None) == naive(alternative)
            assert found is None or found[0] in found[1].artifacts


def test_last_round_before_a_job_counts_and_failed_jobs_do_not():
    jobs = {}
    for n in range(1, 12):
        of_round = {"unit": "u", "round": n, "artifacts": (deb("a", content=str(n)),)}
        jobs[f"r.{n}"] = finished(n, **of_round, needs=(f"r.{n - 1}",) if n > 1 else ())
    jobs["r.12"] = finished(12, needs=("r.10", "r.2"))
    jobs["r.13"] = finished(13, needs=("r.2", "r.9"))
    jobs["r.14"] = finished(14, outcome=Outcome.FAILURE, artifacts=(deb("b"),))
    jobs["r.15"] = finished(15, needs=("r.14",))
    artifacts = RequestArtifacts(jobs)
    for each in jobs.values():
        artifacts.add(each)
    assert [artifacts.find(jobs[f"r.{n}"], Alternative("a"))[1].round for n in (12, 13, 3)] == [10, 9, 2]
    assert artifacts.find(jobs["r.15"], Alternative("b")) is None
