"""The whole path once more on real Apache Kafka with two runners, in both modes of dispatch, and the same packages as
anywhere else."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.topics import QUEUE
from support.ctl_mesh import UNITS, Account, CtlMesh, ExampleSource, debs
from support.kafka_server import find_server


@pytest.fixture(scope="module")
def ours() -> Account:
    return Account()


@pytest.fixture(scope="module", params=list(Dispatch))
def dispatch(request) -> Dispatch:
    return request.param


@pytest.fixture(scope="module")
def cluster(dispatch):
    """A Kafka without the past of another mesh."""
    server = find_server()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def on_kafka(dispatch, cluster, ours, own_cache, own_home):
    source = ExampleSource(own_home / f"source-{dispatch}", ours)
    home, settings = own_home / dispatch, {"CB_DISPATCH": dispatch}
    bootstrap = cluster.settings.bootstrap
    mesh = CtlMesh(home, own_cache, broker=bootstrap, runners=2, account=ours, settings=settings)
    mesh.up(example=source.path)
    try:
        yield mesh, source, mesh.request("--all")
    finally:
        mesh.down()


def test_the_chain_is_built_over_kafka(on_kafka):
    mesh, _, answer = on_kafka
    assert {job["unit"]: job["outcome"] for job in answer["jobs"]} == dict.fromkeys(UNITS, "success"), mesh.logs()


def test_both_runners_build_at_the_same_time(on_kafka):
    mesh, source, _ = on_kafka
    for number in (1, 2):
        _commit(source, number)
    with ThreadPoolExecutor() as clients:
        requests = list(clients.map(lambda number: _requested(mesh, number), (1, 2)))
    for request in requests:
        mesh.ok("watch", request, "--timeout", "480")
    jobs = [job for request in requests for job in mesh.ok("status", request, "--json").json["jobs"]]
    assert {job["runner_id"] for job in jobs} == {"runner-1", "runner-2"}, jobs


def _commit(source, number):
    """A library that takes long enough for the other one to be requested meanwhile."""
    slow = "\noverride_dh_auto_configure:\n\tsleep 5\n\tdh_auto_configure\n"
    source.git("checkout", "-q", "-B", f"try-{number}", "main")
    source.edit("projects/packages/libgreet/debian/changelog", lambda text: text.replace("1.", f"{number + 2}.", 1))
    source.edit("projects/packages/libgreet/debian/rules", lambda text: text + slow)
    source.commit(f"the library anew, {number}")
    source.git("checkout", "-q", "main")


def _requested(mesh, number):
    return mesh.ok("request", "packages/libgreet", "--ref", f"try-{number}", "--json").json["request_id"]


def test_a_daemon_without_its_broker_waits_and_goes_on_when_it_is_back(on_kafka, cluster):
    mesh, _, _ = on_kafka
    cluster.stop()
    request = ("request", "packages/libgreet", "--json")
    away = mesh.ctl(*request)
    assert away.status == 4, away
    cluster.start()
    answer = mesh.until(lambda: _answered(mesh), "the mesh answers again")
    assert answer
    assert mesh.request("packages/libgreet")["request"]["outcome"] == "success"


def _answered(mesh):
    return mesh.ctl("list", "runners", "--json").status == 0


def test_only_a_shared_queue_is_offered_anything(on_kafka, dispatch, cluster):
    offers = KafkaBroker(cluster.settings).watermarks([QUEUE.member(platform.machine()).name]).values()
    assert any(end for _, end in offers) is (dispatch is Dispatch.SHARED_QUEUE)


@pytest.fixture(scope="module")
def made_elsewhere(ours, own_cache, own_home):
    """Returns the artifacts that another home makes from the same commit, without Kafka."""
    source = ExampleSource(own_home / "source-elsewhere", ours)
    other = CtlMesh(own_home / "elsewhere", own_cache, account=ours)
    other.up(example=source.path)
    try:
        return debs(other.request("--all"))
    finally:
        other.down()


def test_another_home_makes_the_same_bytes(on_kafka, made_elsewhere):
    _, _, answer = on_kafka
    assert debs(answer) == made_elsewhere
