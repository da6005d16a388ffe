"""`cb-ctl retry`: the requests that build what failed, was canceled, or was skipped for these."""

from __future__ import annotations

import pytest

from cloud_builder.cli import request as request_module
from cloud_builder.cli.retry import retry_specs
from cloud_builder.errors import ExitCode
from cloud_builder.mesh.codec import decode
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.info_mesh import REVISION, InfoMesh, json_output, output


def row(unit: str, target: str = "t", source: str = "s", revision: str = "r", **more) -> dict:
    return {"unit": unit, "target": target, "source": source, "revision": revision, **more}


def test_units_that_failed_for_the_same_targets_are_one_request() -> None:
    jobs = [row("a"), row("a", "u"), row("b"), row("c", "u"), row("d", "u"), row("d", "t"), row("x", source="o")]
    found = [(spec.source, spec.targets, spec.units) for spec in retry_specs(jobs, {"source": "s"})]
    assert found == [("s", ("t", "u"), ["a", "d"]), ("s", ("t",), ["b"]), ("s", ("u",), ["c"]), ("o", ("t",), ["x"])]


def test_profiles_of_the_request_are_for_jobs_that_had_them() -> None:
    request = {"source": "s", "profiles": ["nocheck"], "build_options": ["noopt"]}
    jobs = [row("a", profiles=["nocheck", "x"], build_options=["noopt"]), row("need", profiles=[], build_options=[])]
    found = [(spec.units, spec.variant) for spec in retry_specs(jobs, request)]
    assert found == [(["a"], (("nocheck",), ("noopt",))), (["need"], ((), ()))]


@pytest.fixture
def sent(mesh: InfoMesh, monkeypatch: pytest.MonkeyPatch):
    """Returns the requests that were sent; each is accepted at once."""
    events: list[e.BuildRequested] = []

    def accept(session, name, source):
        [log] = [log for partition, log in mesh.broker.logs.items() if partition.topic == "cb.request"]
        events.append(decode(log[-1], "").payload)
        mesh.accept(name)
        return session.query("request", request=name, most=1)["request"]

    monkeypatch.setattr("cloud_builder.cli.retry.wait_until_accepted", accept)
    return events


@pytest.mark.parametrize("what", ["r-1", "r-1.1", "packages/hello"])
def test_failed_job_is_requested_for_the_same_commit(mesh: InfoMesh, sent, capsys, what: str) -> None:
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="no")
    text = output(capsys, "retry", what)
    assert "retried: packages/hello (bookworm.x86_64)" in text
    assert (sent[0].units, sent[0].ref, sent[0].targets) == (("packages/hello",), REVISION, ("bookworm.x86_64",))
    assert f"cb-ctl watch {sent[0].request_id}" in text


def test_head_of_the_branch_is_requested_with_head(mesh: InfoMesh, sent, capsys) -> None:
    mesh.finish(RequestOutcome.CANCELED, Outcome.CANCELED)
    assert json_output(capsys, "retry", "r-1", "--head")[0]["request_id"] == sent[0].request_id
    assert sent[0].ref == "main"


def test_nothing_to_retry_is_rejected_with_the_next_step(mesh: InfoMesh, capsys) -> None:
    mesh.accept()
    assert "cb-ctl watch r-1" in output(capsys, "retry", "r-1", code=ExitCode.REJECTED)
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS)
    assert "cb-ctl request packages/hello --force" in output(capsys, "retry", "r-1", code=ExitCode.REJECTED)
    assert "Did you mean r-1" in output(capsys, "retry", "r-2", code=ExitCode.REJECTED)


def test_watch_without_a_request_follows_the_newest_that_runs(mesh: InfoMesh, capsys, monkeypatch) -> None:
    assert "no requests yet" in output(capsys, "watch", code=ExitCode.REJECTED)
    followed: list[str] = []
    monkeypatch.setattr(request_module, "watch_to_the_end", lambda _, name, timeout: followed.append(name) or 1)
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS)
    output(capsys, "watch", code=ExitCode.FAILED)
    mesh.accept("r-2")
    output(capsys, "watch", code=ExitCode.FAILED)
    mesh.accept("r-3")
    assert "also running" in output(capsys, "watch", code=ExitCode.FAILED)
    output(capsys, "watch", "--all", code=ExitCode.FAILED)
    assert followed[:2] == ["r-1", "r-2"]
    assert {*followed[3:]} == {"r-2", "r-3"}
