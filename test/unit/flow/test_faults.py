"""Tests of a mesh with random faults: every request ends, every job has one result, and no entry of them is left."""

from collections import defaultdict
from random import Random

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Outcome
from support.factories import unit_files
from support.memory_mesh import URL, MemoryMesh

UNITS = ("base", "lib", "tool", "card", "suite")
SEEDS = [*((seed, Dispatch.DIRECTED) for seed in range(6)), *((seed, Dispatch.SHARED_QUEUE) for seed in range(6, 10))]


def tree(random, content):
    """Returns the files of units in layers; each unit needs some units of earlier layers."""
    files = {}
    for number, name in enumerate(UNITS):
        files |= unit_files(name, *random.sample(UNITS[:number], min(number, 2)), content=content.get(name, ""))
    return files


class RandomFaults:
    """A mesh with random faults. All randomness comes from `seed`."""

    def __init__(self, seed: int, dispatch: Dispatch) -> None:
        self.random = Random(seed)
        self.shape, self.content = seed, {}
        self.mesh = MemoryMesh(
            self.files(), runners=2, slots=2, build=self.build, random=self.random, dispatch=dispatch
        )
        self.requested: list[str] = []
        self.is_calm = False

    def files(self):
        return tree(Random(self.shape), self.content)

    def build(self, assignment, log, cancel):
        for _ in range(Random(assignment.input_key).randint(0, 8)):
            if cancel.wait(0.001):
                return Outcome.CANCELED
        if not self.is_calm and Random(f"{assignment.job_id}{assignment.attempt}").random() < 0.2:
            return Outcome.ERROR
        return Outcome.FAILURE if assignment.input_key[0] == "0" else Outcome.SUCCESS

    def step(self) -> None:
        """Causes one random fault, change or request; or does nothing."""
        mesh, random = self.mesh, self.random
        [what] = random.choices(
            ["nothing", "request", "cancel", "push", "kill", "cut", "restart", "stop", "unplug", "replace"],
            [60, 6, 1, 1, 3, 4, 12, 1, 1, 0.7],
        )
        name = random.choice(list(mesh.daemons))
        live = mesh.daemons[name].loop is not None
        if not mesh.broker.reachable:
            if random.random() < 0.1:
                mesh.plug()
        elif what == "request":
            self.requested.append(f"q{len(self.requested)}")
            self.request(self.requested[-1])
        elif what == "cancel" and self.requested:
            mesh.send(e.BuildCancelRequested(request_id=random.choice(self.requested)))
        elif what == "push":
            self.content[random.choice(UNITS)] = str(mesh.now)
            mesh.git.repository(URL).commit(self.files())
        elif what == "kill":
            mesh.kill(name)
        elif what == "cut" and live:
            mesh.daemons[name].connection.cut_after = random.randint(0, 3)
        elif what == "stop" and live:
            mesh.stop(name)
        elif what == "restart":
            self.restart()
        elif what == "unplug":
            mesh.unplug()
        elif what == "replace":
            mesh.replace_broker()

    def request(self, id: str) -> None:
        random = Random(id)
        self.mesh.request(*random.sample(UNITS, random.randint(1, 3)), id=id)

    def restart(self) -> None:
        self.mesh.start(*(name for name, daemon in self.mesh.daemons.items() if daemon.loop is None))

    def calm(self) -> None:
        """Ends all faults, and sends the requests again that the broker may have lost."""
        self.is_calm = True
        self.mesh.plug()
        self.restart()
        for daemon in self.mesh.daemons.values():
            daemon.connection.cut_after = None
        for id in self.requested:
            self.request(id)
        self.mesh.until(lambda: all(self.mesh.is_finished(id) for id in self.requested))
        self.mesh.wait(120)


@pytest.fixture(params=SEEDS, ids=lambda param: f"{param[0]}-{param[1]}", scope="module")
def mesh(request):
    faults = RandomFaults(*request.param)
    for _ in range(300):
        faults.step()
        faults.mesh.round()
    faults.calm()
    return faults.mesh


def test_every_request_has_ended_and_every_job_has_one_result(mesh):
    ends, verdicts = defaultdict(set), defaultdict(set)
    for event in mesh.events(e.RequestFinished):
        assert event.outcome != "rejected"
        ends[event.request_id].add(event.model_dump_json())
    for event in mesh.events(e.JobFinished):
        verdicts[event.job_id].add(event.model_dump_json(exclude={"at"}))
    accepted = {event.request_id for event in mesh.events(e.RequestAccepted)}
    assert ends.keys() >= accepted
    assert {id: bodies for id, bodies in ends.items() if len(bodies) != 1} == {}
    assert {id: bodies for id, bodies in verdicts.items() if len(bodies) != 1} == {}


def test_nothing_is_left_of_finished_jobs_and_requests(mesh):
    jobs, requests, runners = mesh.scheduler.jobs, mesh.scheduler.requests, mesh.scheduler.runners
    assert (requests.by_id, jobs.by_id, jobs.active_by_key, runners.missing_from_heartbeat) == ({}, {}, {}, {})
    assert (len(jobs.queue), jobs.queue.busy) == (0, 0)
    left = [
        job_ids for index in (jobs.waiting_dependents, runners.jobs_by_runner) for job_ids in index.values() if job_ids
    ]
    assert left == []
    assert list(mesh.daemons["collector"].state.find("pending-job")) == []
    for runner in ("r1", "r2"):
        assert list(mesh.daemons[runner].state.find("open-attempt")) == []


def test_cb_info_has_the_outcome_of_every_request_and_job(mesh):
    state = mesh.daemons["info"].state
    results = {event.request_id: event for event in mesh.events(e.RequestFinished)}
    for id, request in state.find("request"):
        assert (id, request["state"]) in [(id, "finished"), (id, "rejected")]
        assert (id, request["outcome"]) == (id, results[id].outcome)
    outcomes = {job.job_id: job.outcome for result in results.values() for job in result.jobs}
    assert {id: job["outcome"] for id, job in state.find("job")} == outcomes
