"""Tests of the job store: jobs are read as they were written, whichever transactions their changes were in."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.scheduler import job_store
from cloud_builder.flow.scheduler.job_store import JobStore
from cloud_builder.model.ids import new_job_id
from cloud_builder.model.inputs import Inputs
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.priority import Priority
from support import factories
from support.factories import deb
from support.work import RecordingWork

INPUTS = Inputs(recipe=1, tree="0" * 40, buildroot=None, repositories=None)
STEPS = {
    "ready": {"state": JobState.QUEUED, "input_key": "k" * 64, "inputs": INPUTS, "queued_at": 5.0},
    "assigned": {"state": JobState.ASSIGNED, "runner_id": "r1", "attempt": 1, "tried_runners": ("r1",)},
    "requeued": {"state": JobState.QUEUED, "runner_id": None, "errors": 1, "message": "lost"},
    "urgent": {"priority": Priority.INTERACTIVE},
    "finished": {"state": JobState.FINISHED, "outcome": Outcome.SUCCESS, "message": "", "timings": {"build": 1.0}},
}


def job(number, request="r-1"):
    return factories.job(
        number, job_id=new_job_id(request, number), request=request, state=JobState.BLOCKED, input_key=None
    )


@pytest.fixture
def state():
    return MemoryState()


def read(state, request="r-1"):
    """Returns what a restarted scheduler reads."""
    return JobStore().load(state, request)


@given(
    jobs=st.integers(1, 3 * job_store.JOBS_PER_DOCUMENT),
    transactions=st.lists(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(list(STEPS)))), max_size=5),
)
def test_jobs_are_read_as_they_were_written(jobs, transactions):
    state, store = MemoryState(), JobStore()
    now = {number: job(number) for number in range(1, jobs + 1)}
    work = RecordingWork(state, 1.0)
    store.create(work, list(now.values()))
    for steps in transactions:
        for chance, step in steps:
            old = now[chance % jobs + 1]
            now[old.number] = old.model_copy(update=STEPS[step])
            store.update(work, old, now[old.number])
        work = RecordingWork(state, 2.0)
        assert read(state) == list(now.values())
    assert all(job_store.load_job(state, created.job_id) == created for created in now.values())


def test_request_is_few_documents_and_a_change_of_a_job_is_a_small_one(state):
    store = JobStore()
    first = [job(number) for number in range(1, job_store.JOBS_PER_DOCUMENT + 2)]
    store.create(RecordingWork(state, 1.0), first)
    assert (state.count(job_store.EXPANSIONS), state.count(job_store.JOBS)) == (2, 0)
    assert state.get(job_store.STATUS_DOCUMENTS, "r-1.1") is None
    store.update(RecordingWork(state, 2.0), first[0], first[0].model_copy(update=STEPS["assigned"]))
    assert state.get(job_store.STATUS_DOCUMENTS, "r-1.1").keys() == {"state", "runner_id", "attempt", "tried_runners"}


def test_job_with_many_dependencies_is_not_written_into_a_shared_document(state):
    many = tuple(deb(f"lib{number}") for number in range(job_store.MAX_PACKED_FILES + 1))
    store, work = JobStore(), RecordingWork(state, 1.0)
    first = [job(number) for number in range(1, 4)]
    store.create(work, first)
    ready = first[1].model_copy(update=STEPS["ready"] | {"dependencies": many})
    assigned = ready.model_copy(update=STEPS["assigned"])
    store.update(work, first[1], ready)
    store.update(work, ready, assigned)
    assert "lib0" not in str(state.get(job_store.EXPANSIONS, "r-1#0"))
    assert read(state) == [first[0], assigned, first[2]]


def test_store_keeps_no_reference_to_a_finished_transaction(state):
    store, work, first = JobStore(), RecordingWork(state, 1.0), [job(number) for number in range(1, 3)]
    store.create(work, first)
    store.update(RecordingWork(state, 2.0), first[0], first[0].model_copy(update=STEPS["assigned"]))
    references = [weakref.ref(work), weakref.ref(first[1])]
    del work, first
    gc.collect()
    assert [reference() for reference in references] == [None, None]


@pytest.mark.parametrize("unknown", ["r-1.99", "r-2.1", "nothing", "r-1.x"])
def test_unknown_job_is_not_found(state, unknown):
    JobStore().create(RecordingWork(state, 1.0), [job(1)])
    assert job_store.load_job(state, unknown) is None


def test_nothing_is_left_of_a_pruned_request(state):
    store, first = JobStore(), [job(number) for number in range(1, 4)]
    store.create(RecordingWork(state, 1.0), first)
    for created in first:
        store.update(RecordingWork(state, 2.0), created, created.model_copy(update=STEPS["ready"]))
        store.update(RecordingWork(state, 2.5), created, created.model_copy(update=STEPS["assigned"]))
    work = RecordingWork(state, 3.0)
    assert job_store.prune(work, "r-1", 2) == 2
    assert job_store.prune(work, "r-1", 100) == 1 + 3
    assert read(state) == []
    assert not any(state.get(job_store.STATUS_DOCUMENTS, created.job_id) for created in first)
