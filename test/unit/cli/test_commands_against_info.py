"""cb-ctl against a real cb-info over the broker in memory: the output and the exit codes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from cloud_builder.cli import request as request_module
from cloud_builder.cli.main import cli, run
from cloud_builder.cli.options import GlobalOptions
from cloud_builder.errors import ExitCode
from cloud_builder.mesh.codec import decode
from cloud_builder.model import events as e
from cloud_builder.model.artifact import ArtifactKind
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.unit import Target
from support.factories import deb
from support.info_mesh import TARGET, InfoMesh, json_output, output


def test_list_prints_an_array_of_objects(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.follow()
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS)
    keys = {"sources": "source", "units": "path", "requests": "request_id", "jobs": "job_id"}
    for what, key in keys.items():
        assert [key in row for row in json_output(capsys, "list", what)] == [True], what
        assert len(output(capsys, "list", what).splitlines()) == 2, what
    assert json_output(capsys, "list", "runners") == []
    assert json_output(capsys, "status")["jobs"] == {"success": 1}


def test_status_shows_a_request_and_a_job(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="does not build", step="build")
    found = json_output(capsys, "status", "r-1")
    assert [job["outcome"] for job in found["jobs"]] == ["failure"]
    assert json_output(capsys, "status", "hello")["job_id"] == "r-1.1"
    assert "does not build" in output(capsys, "status", "r-1.1")
    assert "Did you mean r-1" in output(capsys, "status", "r-2", code=ExitCode.REJECTED)


@pytest.mark.parametrize(
    ("outcome", "job", "code"),
    [
        (RequestOutcome.SUCCESS, Outcome.SUCCESS, ExitCode.SUCCESS),
        (RequestOutcome.FAILURE, Outcome.FAILURE, ExitCode.FAILED),
        (RequestOutcome.ERROR, Outcome.ERROR, ExitCode.INFRASTRUCTURE),
        (RequestOutcome.CANCELED, Outcome.CANCELED, ExitCode.FAILED),
        (RequestOutcome.SUPERSEDED, Outcome.SUPERSEDED, ExitCode.FAILED),
        (RequestOutcome.REJECTED, Outcome.CANCELED, ExitCode.REJECTED),
    ],
)
def test_watch_exits_with_the_code_of_the_outcome(
    mesh: InfoMesh, capsys: pytest.CaptureFixture[str], outcome: RequestOutcome, job: Outcome, code: ExitCode
) -> None:
    mesh.finish(outcome, job, message="a cause")
    found = json_output(capsys, "watch", "r-1", code=code)
    assert (found["request"]["outcome"], found["jobs"][0]["outcome"]) == (outcome, job)
    text = output(capsys, "watch", "r-1", code=code)
    assert f"r-1: {outcome}" in text
    assert ("demo-bookworm.sources" in text) == (code is ExitCode.SUCCESS)
    assert ("cb-ctl get r-1" in text) == (code is ExitCode.SUCCESS)


def test_failure_shows_the_end_of_its_log(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    log = mesh.stored("hello.log", b"one\n" * 50 + b"hello.c:3: error\n", ArtifactKind.LOG)
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="does not build", step="build", log=log)
    text = output(capsys, "watch", "r-1", code=ExitCode.FAILED)
    assert "hello.c:3: error" in text
    assert "cb-ctl logs r-1.1" in text


def test_jobs_of_a_target_are_selected_with_target(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    other = TARGET.model_copy(update={"name": "trixie.x86_64"})
    log = mesh.stored("l", b"==> build\nLOG\n", ArtifactKind.LOG)
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE, message="no", log=log)
    mesh.job(e.JobFinished, job_id="r-1.2", outcome=Outcome.SUCCESS, attempt=1, target=other, at=1007.0)
    for name in ("packages/hello", "r-1"):
        assert "LOG" in output(capsys, "logs", name, "--target", "bookworm.x86_64")
        for verb in ("logs", "status", "get", *(("why",) if name != "r-1" else ())):
            text = output(capsys, verb, name, "--target", "trixi.x86_64", code=ExitCode.REJECTED)
            assert "Did you mean trixie.x86_64?" in text, verb
    assert json_output(capsys, "status", "hello", "--target", "bookworm.x86_64")["job_id"] == "r-1.1"
    assert json_output(capsys, "status", "hello")["job_id"] == "r-1.2"
    jobs = json_output(capsys, "status", "r-1", "--target", "trixie.x86_64")["jobs"]
    assert [job["job_id"] for job in jobs] == ["r-1.2"]
    causes = json_output(capsys, "why", "hello", "--target", "bookworm.x86_64")["causes"]
    assert [cause["job_id"] for cause in causes] == ["r-1.1"]
    assert "no artifact" in output(capsys, "get", "r-1", "--target", "trixie.x86_64", code=ExitCode.REJECTED)
    assert "has more than one job" in output(capsys, "logs", "r-1", code=ExitCode.REJECTED)
    assert "r-1.1: no job for target" in output(
        capsys, "status", "r-1.1", "--target", "trixie.x86_64", code=ExitCode.REJECTED
    )


def test_rounds_of_a_cycle_and_profiles_are_shown(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.accept()
    mesh.job(e.JobFinished, outcome=Outcome.SUCCESS, attempt=1, round=1, profiles=("stage1",))
    mesh.job(e.JobRunning, job_id="r-1.2", attempt=1, runner_id="r1", round=2, build_options=("noopt",))
    text = output(capsys, "status", "r-1")
    assert "packages/hello (round 1, stage1)" in text
    assert "packages/hello (round 2, noopt)" in text
    assert "round 1 of its dependency cycle, build profiles stage1" in output(capsys, "why", "r-1.1")
    assert "packages/hello (round 2, noopt)" in output(capsys, "list", "jobs")


def test_units_behind_their_branch_are_listed(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.follow()
    assert "no unit is behind" in output(capsys, "list", "units", "--behind")
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS, tree="c" * 40, publish=True, artifacts=(deb("hello", "1.0"),))
    mesh.job(e.JobFinished, job_id="r-1.2", outcome=Outcome.CANCELED, at=1009.0)
    assert "is behind (canceled r-1.2)" in output(capsys, "list", "units")
    assert "behind      packages/hello bookworm.x86_64: canceled (r-1.2), published is 1.0" in output(capsys, "status")
    [row] = json_output(capsys, "list", "units", "--behind")
    assert (row["unit"], row["versions"], row["outcome"]) == ("packages/hello", ["1.0"], "canceled")


def test_log_is_of_one_step_or_its_last_lines(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    text = b"==> dependencies\nx\n" + b"Unpacking a (1) ...\n" * 5 + b"==> build\ncc\nld\n==> success\n"
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS, log=mesh.stored("l", text, ArtifactKind.LOG))
    assert "5 lines of apt and KIWI" in output(capsys, "logs", "hello")
    assert output(capsys, "logs", "hello", "--full") == text.decode()
    assert output(capsys, "logs", "hello", "--step", "build", "--tail", "1") == "ld\n"
    assert json_output(capsys, "logs", "hello", "--step", "build")["lines"] == ["==> build", "cc", "ld"]
    assert "Did you mean build?" in output(capsys, "logs", "hello", "--step", "buidl", code=ExitCode.REJECTED)


def test_watch_ends_after_its_timeout(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.accept()
    text = output(capsys, "watch", "r-1", "--timeout", "0.1", code=ExitCode.INFRASTRUCTURE)
    assert "cb-ctl cancel r-1" in text


def test_accepted_request_prints_the_next_command(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.follow()
    mesh.accept("r-mine")
    assert "cb-ctl watch r-mine" in output(capsys, "request", "packages/hello", "--id", "r-mine")
    assert json_output(capsys, "request", "--all", "--id", "r-mine")["request_id"] == "r-mine"


def test_options_of_request_become_the_event(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.follow()
    mesh.accept("r-mine")
    variant = ["--force", "--profiles", "nodoc,nocheck", "--build-options", "noopt"]
    urgent = [*variant, "--rebuild-dependants", "--priority", "interactive", "--deadline", "1h30m"]
    output(capsys, "request", "--since", "main~1", *urgent, "--target", "bookworm.x86_64", "--id", "r-mine")
    [log] = [log for partition, log in mesh.broker.logs.items() if partition.topic == "cb.request"]
    event = decode(log[-1], "").payload
    assert isinstance(event, e.BuildRequested)
    assert (event.since, event.units, event.all, event.targets) == ("main~1", (), False, ("bookworm.x86_64",))
    assert (event.force, event.profiles, event.build_options) == (True, ("nocheck", "nodoc"), ("noopt",))
    assert (event.dependants, event.priority, event.deadline, event.plan) == (True, "interactive", 5400.0, False)


def test_rejected_request_prints_cause_and_hint(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.follow()
    mesh.send(
        e.RequestRejected(
            request_id="r-no",
            code="unknown-unit",
            message='no unit "helo"',
            hint="Did you mean hello?",
            rejected_at=1.0,
        )
    )
    text = output(capsys, "request", "helo", "--id", "r-no", code=ExitCode.REJECTED)
    assert 'no unit "helo"' in text
    assert "Did you mean hello?" in text


def test_request_fails_when_cb_request_does_not_answer(
    mesh: InfoMesh, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_module, "ACCEPT_TIMEOUT", 0.2)
    mesh.follow()
    assert "cb-request does not answer" in output(capsys, "request", "--all", code=ExitCode.INFRASTRUCTURE)


@pytest.mark.parametrize(("sources", "hint"), [((), "cb-ctl source add"), (("one", "two"), "--source one")])
def test_request_needs_a_source_unless_there_is_only_one(
    mesh: InfoMesh, capsys: pytest.CaptureFixture[str], sources: tuple[str, ...], hint: str
) -> None:
    for source in sources:
        mesh.follow(source)
    assert hint in output(capsys, "request", "--all", code=ExitCode.REJECTED)


def test_logs_prints_the_live_log_and_then_the_whole_log(
    mesh: InfoMesh, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    mesh.accept()
    mesh.job(e.JobRunning, attempt=1, runner_id="runner-1")
    mesh.send(e.LogAppended(job_id="r-1.1", attempt=1, offset=0, text="live\n"))
    assert run(["logs", "hello"]) == ExitCode.SUCCESS
    assert capfdbinary.readouterr().out == b"live\n"
    log = mesh.stored("hello.log", b"live\nwhole\n", ArtifactKind.LOG)
    mesh.job(e.JobFinished, outcome=Outcome.FAILURE, attempt=1, log=log)
    assert run(["logs", "r-1", "--follow"]) == ExitCode.FAILED
    assert capfdbinary.readouterr().out == b"live\nwhole\n"


def test_get_downloads_and_verifies(mesh: InfoMesh, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    deb = mesh.stored("hello_1_amd64.deb", b"a package", ArtifactKind.DEB)
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS, artifacts=(deb,))
    [got] = json_output(capsys, "get", "r-1", "-o", str(tmp_path / "out"))
    content = Path(got["path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == got["sha256"] == deb.sha256
    assert json_output(capsys, "get", "hello", "-o", str(tmp_path / "out")) == [got]


def test_get_makes_a_directory_for_each_of_several_targets(
    mesh: InfoMesh, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    deb = mesh.stored("hello_1_amd64.deb", b"a package", ArtifactKind.DEB)
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS, artifacts=(deb,))
    other = Target(name="trixie.x86_64", dist="trixie", arch="x86_64")
    mesh.job(e.JobFinished, job_id="r-1.2", target=other, outcome=Outcome.FAILURE)
    for more in ((), ("--logs",)):
        [got] = json_output(capsys, "get", "r-1", "-o", str(tmp_path / "out"), *more)
        assert Path(got["path"]) == tmp_path / "out" / "bookworm.x86_64" / "hello_1_amd64.deb"


def test_get_keeps_no_file_with_a_wrong_digest(
    mesh: InfoMesh, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    deb = mesh.stored("hello_1_amd64.deb", b"a package", ArtifactKind.DEB)
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS, artifacts=(deb,))
    [stored] = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.name in deb.sha256]
    stored.chmod(0o644)
    stored.write_bytes(b"b package")
    text = output(capsys, "get", "r-1", "-o", str(tmp_path / "out"), code=ExitCode.INFRASTRUCTURE)
    assert f"not {deb.sha256[:12]}" in text
    assert list((tmp_path / "out").iterdir()) == []


def test_get_without_artifacts_is_rejected(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.finish(RequestOutcome.FAILURE, Outcome.FAILURE)
    assert "cb-ctl status r-1" in output(capsys, "get", "r-1", code=ExitCode.REJECTED)


def test_cancel_of_a_finished_request_is_rejected(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS)
    assert "already finished" in output(capsys, "cancel", "r-1", code=ExitCode.REJECTED)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["request", "pack"], ["packages/hello"]),
        (["request", "--source", ""], ["demo"]),
        (["watch", "r"], ["r-1"]),
        (["logs", "r-1."], ["r-1.1"]),
        (["source", "remove", "x"], []),
    ],
)
def test_completion_offers_names_of_the_mesh(
    mesh: InfoMesh, typed: list[str], offered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    mesh.follow()
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS)
    completer = ShellComplete(cli, {"obj": GlobalOptions()}, "cb-ctl", "_CB_CTL_COMPLETE")
    assert [found.value for found in completer.get_completions(typed[:-1], typed[-1])] == offered


def test_dead_letters_are_listed_shown_and_sent_again(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    mesh.send(
        e.MessageDead(
            dead_id="d-1", daemon="cb-request", topic="cb.request", partition=0, offset=3, key=None,
            value="bm90IGpzb24=", reason="not JSON", at=1.0,
        )
    )  # fmt: skip
    assert [row["dead_id"] for row in json_output(capsys, "dead-letter", "list")] == ["d-1"]
    assert "not json" in output(capsys, "dead-letter", "show", "d-1")
    assert json_output(capsys, "dead-letter", "retry", "d-1") == {"sent": "d-1", "topic": "cb.request"}
    assert "d-1" in output(capsys, "dead-letter", "show", "d-2", code=ExitCode.REJECTED)


def test_warnings_of_a_repository_are_shown(mesh: InfoMesh, capsys: pytest.CaptureFixture[str]) -> None:
    warning = "the distribution has an equal or a higher version of hello 1"
    mesh.send(
        e.RepositoryPublished(
            repository="demo-bookworm", snapshot="000001-x", url="http://x", jobs=(), warnings=(warning,), at=1.0
        )
    )
    assert f"demo-bookworm: {warning}" in output(capsys, "list", "repositories")
    mesh.finish(RequestOutcome.SUCCESS, Outcome.SUCCESS)
    assert f"demo-bookworm: {warning}" in output(capsys, "watch", "r-1")
