"""Two schedulers on a real Kafka: one leads, the other takes over; the old one, frozen or gone, writes nothing after.

The schedulers and runners are the real programs (the runners simulate builds); this process stands in for cb-request.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.mesh.codec import Undecodable, decode, encode
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.topics import TOPICS
from cloud_builder.model.unit import Target
from support.factories import unit
from support.waiting import LIMIT, until

ARCH = platform.machine()
TARGET = Target(name=f"bookworm.{ARCH}", dist="bookworm", arch=ARCH)
JOBS = 20


class StandbyMesh:
    """Daemons of one mesh, each scheduler with a home of its own."""

    def __init__(self, broker, directory):
        self.settings, self.directory = broker, directory
        self.broker = KafkaBroker(broker)
        self.broker.ensure_topics(TOPICS)
        self.producer = self.broker.producer()
        self.processes = {}

    def start(self, name, role, *flags, **variables):
        home = self.directory / name
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "cloud_builder.wiring", role, "--home", str(home), *flags]
        command += ["--broker", self.settings.bootstrap, "--parent", str(os.getpid())]
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **variables})
        self.processes[name] = process
        return process

    def scheduler(self, name, *flags):
        return self.start(name, "scheduler", "--id", name, *flags, CB_SCHEDULER__HA="true")

    def output_of(self, name):
        return (self.directory / name / "log").read_text()

    def send(self, *payloads):
        self.producer.send([encode(one, source="test", id=str(uuid4()), time=time.time()) for one in payloads], LIMIT)

    def ask(self, request, jobs=JOBS):
        """A request for new units; each takes half a second on a runner."""
        revision = uuid4().hex + "00000000"
        units = tuple(_unit(f"{request}-{number}") for number in range(jobs))
        self.send(
            e.SourceRevised(source="s", url="file:///x", branch="main", revision=revision, followed=False, units=units),
            e.RequestAccepted(
                request_id=request, source="s", ref="main", revision=revision, units=[each.path for each in units],
                publish=False, accepted_at=time.time(),
            ),
        )  # fmt: skip

    def records(self, topic):
        """All that was committed on a topic until now."""
        consumer = self.broker.consumer(
            {partition: low for partition, (low, _) in self.broker.watermarks([topic]).items()}
        )
        found = []
        while not consumer.is_at_end():
            found += consumer.poll(1000, 0.5)
        consumer.close()
        return found

    def events(self, topic):
        found = []
        for record in self.records(topic):
            try:
                found.append(decode(record, "").payload)
            except Undecodable:  # a tombstone
                continue
        return found

    def leader(self):
        output_of = [one.body for one in self.events("cb.state") if one.entity_id == "leader/leader"]
        return (output_of[-1]["id"], output_of[-1]["epoch"]) if output_of else None

    def result(self, request):
        return next((one for one in self.events("cb.result") if one.request_id == request), None)

    def until(self, condition, what):
        return until(condition, lambda: f"{what}\n{self.logs()}\n")

    def logs(self):
        return "\n".join(f"--- {name}\n{self.output_of(name)[-3000:]}" for name in self.processes)

    def close(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.producer.close()
        self.broker.close()


def _unit(name):
    inputs = {"tree": uuid4().hex + "00000000", "buildroot": "0" * 64, "repositories": "1" * 64}
    return unit(name, "debhelper", path=f"packages/{name}", targets=(TARGET,), **inputs)


@pytest.fixture(scope="module")
def mesh(kafka_of_the_module, tmp_path_factory):
    mesh = StandbyMesh(kafka_of_the_module.settings, tmp_path_factory.mktemp("standby"))
    mesh.scheduler("one")
    mesh.until(lambda: mesh.leader() == ("one", 1), "the first leads")
    mesh.scheduler("two", "--standby")
    for number in (1, 2):
        mesh.start(f"r{number}", "runner", "--id", f"r{number}", "--slots", "2", CB_RUNNER__SIMULATE="0.5")
    mesh.until(lambda: "following" in mesh.output_of("two"), "the second follows")
    yield mesh
    mesh.close()


@pytest.fixture(scope="module")
def kafka_of_the_module():
    from support.kafka_server import find_server

    server = find_server()
    server.start()
    yield server
    server.close()


def started(mesh, request):
    return [one for one in mesh.events("cb.attempt") if isinstance(one, e.AttemptStarted) and request in one.job_id]


def test_the_standby_finishes_what_the_killed_leader_began(mesh):
    mesh.ask("killed")
    mesh.until(lambda: len(started(mesh, "killed")) > 4, "jobs are being built")
    mesh.processes["one"].kill()
    mesh.until(lambda: mesh.leader() == ("two", 2), "the standby leads")
    result = mesh.until(lambda: mesh.result("killed"), "the request ends")
    assert [job.outcome for job in result.jobs] == [Outcome.SUCCESS] * JOBS
    begun = started(mesh, "killed")
    assert {one.attempt for one in begun} == {1}, "a living runner's job was not started again"
    assert len({one.job_id for one in begun}) == len(begun) == JOBS


def test_a_killed_leader_comes_back_as_standby(mesh):
    mesh.scheduler("one")
    mesh.until(lambda: mesh.output_of("one").count("following"), "it follows")
    assert "the state is stale" in mesh.output_of("one")
    assert mesh.leader() == ("two", 2)


def test_a_frozen_leader_writes_nothing_after_it_was_replaced(mesh):
    mesh.ask("frozen")
    mesh.until(lambda: len(started(mesh, "frozen")) > 4, "jobs are being built")
    mesh.processes["two"].send_signal(signal.SIGSTOP)
    mesh.until(lambda: mesh.leader() == ("one", 3), "the other leads")
    mesh.processes["two"].send_signal(signal.SIGCONT)
    mesh.until(lambda: "replaced, following" in mesh.output_of("two"), "the old one notices")
    result = mesh.until(lambda: mesh.result("frozen"), "the request ends")
    assert [job.outcome for job in result.jobs] == [Outcome.SUCCESS] * JOBS
    begun = started(mesh, "frozen")
    assert len({one.job_id for one in begun}) == len(begun) == JOBS
    epochs = [one.body["epoch"] for one in mesh.events("cb.state") if one.entity_id == "leader/leader"]
    assert epochs == sorted(epochs), "nothing of an older epoch came after a newer one"
    results = [one for one in mesh.events("cb.result") if one.request_id == "frozen"]
    assert len(results) == 1


def test_a_restarted_leader_that_nobody_replaced_goes_on_at_once(mesh):
    mesh.processes["two"].send_signal(signal.SIGSTOP)  # so that the machine has time to start it
    mesh.processes["one"].terminate()
    assert mesh.processes["one"].wait(LIMIT) == 0
    mesh.scheduler("one")
    mesh.until(lambda: mesh.leader() == ("one", 4), "it leads again")
    assert "taking over" not in mesh.output_of("one").rpartition("stopped")[2]
    mesh.processes["two"].send_signal(signal.SIGCONT)


def test_frozen_standby_does_not_count_its_own_pause_as_silence(mesh):
    read = len(mesh.records("cb.state"))
    mesh.until(lambda: len(mesh.records("cb.state")) > read + 2 * 5, "the leader has spoken for a while")
    assert mesh.leader() == ("one", 4)


def test_reading_all_topics_again_starts_nothing_while_the_mesh_runs(mesh):
    command = [str(Path(sys.executable).with_name("cb-ctl")), "admin", "replay", "--json"]
    command += ["--home", str(mesh.directory / "one"), "--broker", mesh.settings.bootstrap]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result
    [row] = json.loads(result.stdout)
    assert row["read"] > 4 * JOBS
    assert (row["jobs_started"], row["events_written"]) == (0, {})


def test_a_scheduler_that_would_not_know_of_the_others_does_not_start(mesh):
    assert mesh.start("careless", "scheduler").wait(LIMIT) == 3
    assert "Set scheduler.ha: true" in mesh.output_of("careless")


def test_a_scheduler_on_a_new_host_goes_on_from_the_changelog(mesh):
    for name in ("one", "two"):
        mesh.processes.pop(name).kill()
    before = len(mesh.records("cb.job"))
    mesh.scheduler("alone")
    mesh.until(lambda: mesh.leader() == ("alone", 5), "it leads")
    mesh.ask("alone", jobs=2)
    result = mesh.until(lambda: mesh.result("alone"), "the request ends")
    assert [job.outcome for job in result.jobs] == [Outcome.SUCCESS] * 2
    assert all(one.request_id == "alone" for one in mesh.events("cb.job")[before:]), "nothing else was result again"
