"""From a git commit to a signed repository: the five daemons, driven by cb-ctl, with real builds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.ctl_mesh import UNITS, CtlMesh, ExampleSource, debs
from support.waiting import LIMIT

CHAIN = dict.fromkeys(UNITS, "success")
REUSED = dict.fromkeys(UNITS, "reused")


def outcomes(answer):
    return {job["unit"]: job["outcome"] for job in answer["jobs"]}


@pytest.fixture(scope="module")
def built(account, tmp_home, cache):
    """A mesh on the embedded broker with the example built once. For ourselves and, as root, for an ordinary user."""
    source = ExampleSource(tmp_home / "source", account)
    mesh = CtlMesh(tmp_home / "home", cache, account=account)
    mesh.up(example=source.path)
    try:
        yield mesh, source, mesh.request("--all")
    finally:
        mesh.down()


def test_a_chain_of_three_is_built_in_order_and_published(built):
    mesh, _, answer = built
    assert outcomes(answer) == CHAIN, mesh.logs()
    [repository] = mesh.rows("repositories")
    release = urllib.request.urlopen(f"{repository['url']}/dists/bookworm/InRelease").read()
    assert b"BEGIN PGP SIGNED MESSAGE" in release
    [package] = mesh.ok("list", "packages", "libgreet1", "--json").json
    assert (package["version"], package["source"]) == ("1.0.0", "libgreet")


def test_build_without_the_mesh_uses_the_root_of_the_mesh(built):
    mesh, source, answer = built
    job = next(job for job in answer["jobs"] if job["unit"] == "packages/libgreet")
    ready = re.compile(r"build root \w+ is ready")
    [root] = ready.findall(mesh.ok("logs", job["job_id"]).out)
    unit = source.path / "projects" / "packages" / "libgreet"
    shown = mesh.ok("build", str(unit), "-o", str(mesh.home / "local")).out
    assert ready.findall(shown) == [root]
    assert "is made for" not in shown


def test_result_artifacts_can_be_fetched_with_their_digests(built, tmp_path):
    mesh, _, answer = built
    mesh.account.own(tmp_path)
    into = mesh.home / "fetched"
    mesh.ok("get", answer["request"]["request_id"], "-o", str(into))
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in into.rglob("*.deb")}
    assert found == debs(answer)
    kinds = {artifact["kind"] for job in answer["jobs"] for artifact in job["artifacts"]}
    assert {"deb", "changes", "buildinfo", "packages"} <= kinds


def test_the_same_request_after_down_and_up_starts_nothing(built):
    mesh, _, answer = built
    mesh.down()
    mesh.up()
    again = mesh.request("--all", "--source", "example")
    assert outcomes(again) == REUSED, mesh.logs()
    assert debs(again) == debs(answer)
    known = {row["request_id"] for row in mesh.rows("requests")}
    assert {answer["request"]["request_id"], again["request"]["request_id"]} <= known


@pytest.mark.parametrize(
    ("words", "cause", "nearest"),
    [
        (["packages/greeet"], "greeet", "greet"),
        (["--all", "--source", "exampel"], "exampel", "example"),
        (["packages/greet", "--ref", "mian"], "mian", "main"),
        (["packages/greet", "--target", "bookwrm.x86_64"], "bookwrm.x86_64", "bookworm.x86_64"),
    ],
)
def test_request_of_an_unknown_name_suggests_the_nearest(built, words, cause, nearest):
    mesh, _, _ = built
    result = mesh.ctl("request", *words)
    assert result.status == 3, result
    assert cause in result.err
    assert nearest in result.err


def test_a_broken_unit_fails_with_its_line_and_hides_no_other(built):
    mesh, source, _ = built
    source.git("checkout", "-q", "-b", "broken")
    manifest = "projects/packages/greet/.cb/cloud_builder.yml"
    source.edit(manifest, lambda text: text.replace("distributions:", "distribtions:"))
    source.commit("a typo")
    result = mesh.ctl("request", "packages/greet", "--ref", "broken")
    assert (result.status, "cloud_builder.yml:" in result.err, "distributions" in result.err) == (0, True, True), result
    for words in (["packages/greet"], ["--all"], ["--since", "main"]):
        result = mesh.ctl("request", *words, "--ref", "broken", "--watch")
        assert result.status == 1, result
        assert f"{manifest}:" in result.out + result.err
    assert f"{manifest}:" in mesh.ok("plan", "--all", "--ref", "broken").out
    [why] = mesh.ok("why", "packages/greet", "--json").json["causes"]
    assert why["kind"] == "broken-unit" and f"{manifest}:" in why["answer"]
    other = mesh.request("packages/libgreet", "--ref", "broken")
    assert outcomes(other) == {"packages/libgreet": "reused"}
    source.git("checkout", "-q", "main")


def test_an_empty_source_is_followed_until_its_first_push(built):
    mesh, source, _ = built
    source.git("init", "-q", "--bare", "-b", "main", str(source.path / ".git/empty"))
    assert "no commits yet" in mesh.ok("source", "add", "empty", str(source.path / ".git/empty")).out
    source.git("push", "-q", str(source.path / ".git/empty"), "main")
    pushed = mesh.until(lambda: mesh.rows("requests", "--source", "empty"), "the first push is a request")
    mesh.ctl("watch", pushed[0]["request_id"])
    [ended] = mesh.rows("requests", "--source", "empty")
    assert (ended["origin"], ended["outcome"], sorted(ended["units"])) == ("push", "success", sorted(UNITS))
    mesh.ok("source", "remove", "empty")


def test_a_failing_build_ends_in_exit_1_with_its_cause(built):
    mesh, source, _ = built
    source.git("checkout", "-q", "-b", "failing")
    source.edit("projects/packages/libgreet/greet.c", lambda text: text + "\n#error this cannot compile\n")
    source.commit("break the library")
    result = mesh.ctl("request", "packages/greet", "--ref", "failing", "--watch")
    source.git("checkout", "-q", "main")
    assert result.status == 1, result
    assert "this cannot compile" in result.out + result.err
    newest = mesh.rows("requests")[0]["request_id"]
    jobs = mesh.ok("status", newest, "--json").json["jobs"]
    rows = jobs["items"] if isinstance(jobs, dict) else jobs
    assert {job["unit"]: job["outcome"] for job in rows} == {
        "packages/libgreet": "failure",
        "packages/greet": "skipped",
    }
    [why] = mesh.ok("why", newest, "--json").json["causes"]
    assert (why["root"]["kind"], why["root"]["unit"]) == ("failed", "packages/libgreet")
    assert "this cannot compile" in why["root"]["log"]["cause"]
    assert why["root"]["because"][0]["kind"] == "files"
    [retried] = mesh.ok("retry", newest, "--json").json
    assert set(retried["units"]) == {"packages/libgreet", "packages/greet"}
    assert retried["revision"] == mesh.ok("status", newest, "--json").json["request"]["revision"]
    assert mesh.ctl("watch", retried["request_id"]).status == 1


def test_a_push_is_noticed_and_built(built):
    mesh, source, _ = built
    source.edit("projects/packages/libgreet/greet.c", lambda text: text + "\n/* a comment changes no output */\n")
    revision = source.commit("a comment")
    push = f"push-example-{revision[:10]}"

    def finished():
        rows = {row["request_id"]: row for row in mesh.rows("requests")}
        return rows.get(push) if rows.get(push, {}).get("state") == "finished" else None

    ended = mesh.until(finished, "the push is built")
    assert (ended["outcome"], ended["summary"]["built"], ended["summary"]["unchanged"]) == ("success", 1, 2)
    rows = {row["unit"]: (row["outcome"], row["code"]) for row in mesh.rows("jobs", "--request", push)}
    unchanged = dict.fromkeys(UNITS, ("skipped", "unchanged"))
    assert rows == {**unchanged, "packages/libgreet": ("success", "")}
    built, untouched = (mesh.ok("why", name, "--json").json["causes"][0] for name in ("libgreet", "packages/greet"))
    assert (built["kind"], built["because"][0]["kind"]) == ("built", "files")
    assert f"at {revision[:12]}: greet.c" in built["answer"]
    assert untouched["kind"] == "unchanged"


def test_five_lines_of_a_plain_producer_are_enough(built):
    mesh, _, _ = built
    five_lines = """
import json, sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce("cb.request", json.dumps({"source": "example", "ref": "main", "units": ["packages/libgreet"]}))
producer.flush()
"""
    known = {row["request_id"] for row in mesh.rows("requests")}
    subprocess.run([sys.executable, "-c", five_lines, mesh.bootstrap], check=True, timeout=LIMIT)

    def its_result():
        rows = [row for row in mesh.rows("requests") if row["request_id"] not in known]
        return rows and rows[0]["state"] == "finished" and rows[0]

    assert mesh.until(its_result, "the bare message is built")["outcome"] == "success"


def test_the_ci_example_waits_for_its_result_on_the_topic(built):
    mesh, _, _ = built
    example = Path(__file__).parents[2] / "sources-example" / "ci" / "plain_producer.py"
    environment = {**os.environ, "CB_BROKER": mesh.bootstrap}

    def run(*units):
        command = [sys.executable, str(example), "example", *units]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)

    good, bad = run("packages/libgreet"), run("packages/libgret")
    assert (good.returncode, bad.returncode) == (0, 3), (good, bad)
    assert "reused     packages/libgreet bookworm.x86_64" in good.stdout
    assert "packages/libgreet" in bad.stdout


def test_a_runner_killed_in_mid_build_costs_one_attempt(built):
    mesh, source, _ = built
    slow = "\noverride_dh_auto_configure:\n\tsleep 6.086403\n\tdh_auto_configure\n"
    source.git("checkout", "-q", "-b", "slow")
    source.edit("projects/packages/libgreet/debian/rules", lambda text: text + slow)
    source.commit("slow")
    source.git("checkout", "-q", "main")
    request = mesh.ok("request", "packages/libgreet", "--ref", "slow", "--json").json["request_id"]
    mesh.until(lambda: _running("sleep", "6.086403"), "the build sleeps")
    os.kill(mesh.pid("runner-1"), signal.SIGKILL)
    assert mesh.ok("watch", request, "--timeout", "480").status == 0
    [job] = mesh.ok("status", request, "--json").json["jobs"]
    assert (job["outcome"], job["attempt"]) == ("success", 2)


def test_cancel_ends_a_build_that_ignores_signals(built):
    mesh, source, _ = built
    stubborn = "\noverride_dh_auto_configure:\n\ttrap '' TERM HUP INT; setsid sleep 86401 & sleep 86402\n"
    source.git("checkout", "-q", "-b", "stubborn")
    source.edit("projects/packages/libgreet/debian/rules", lambda text: text + stubborn)
    source.commit("stubborn")
    source.git("checkout", "-q", "main")
    request = mesh.ok("request", "packages/libgreet", "--ref", "stubborn", "--json").json["request_id"]
    mesh.until(lambda: len(_running("sleep", "86401", "86402")) == 2, "the build sleeps")
    mesh.ok("cancel", request)
    mesh.until(lambda: not _running("sleep", "86401", "86402"), "nothing of the build runs")
    result = mesh.ctl("watch", request, "--timeout", "480")
    assert result.status == 1, result
    [job] = mesh.ok("status", request, "--json").json["jobs"]
    assert (job["outcome"], job["attempt"]) == ("canceled", 1)
    again = mesh.request("packages/libgreet")
    assert outcomes(again) == {"packages/libgreet": "reused"}


def _running(program, *words):
    """Processes with this name and one of these words."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            argv = cmdline.read_bytes().decode(errors="replace").split("\0")
            found += [cmdline] if argv[0] == program and argv[1] in words else []
    return found


def test_a_scheduler_killed_between_two_jobs_loses_nothing(built):
    mesh, source, _ = built
    source.edit("projects/packages/libgreet/debian/changelog", lambda text: text.replace("1.", "2.", 1))
    source.git("checkout", "-q", "-b", "newer")
    source.commit("a newer library")
    source.git("checkout", "-q", "main")
    request = mesh.ok("request", "packages/greeting-card", "--ref", "newer", "--json").json["request_id"]

    def first_is_done():
        jobs = mesh.ok("status", request, "--json").json["jobs"]
        return any(job["outcome"] == "success" for job in jobs) and any(job["outcome"] is None for job in jobs)

    mesh.until(first_is_done, "the first of the chain is built")
    os.kill(mesh.pid("scheduler"), signal.SIGKILL)
    assert mesh.ok("watch", request, "--timeout", "480").status == 0
    jobs = mesh.ok("status", request, "--json").json["jobs"]
    assert [job["attempt"] for job in jobs] == [1] * len(jobs)


def test_replay_of_all_topics_starts_and_writes_nothing(built):
    mesh, _, _ = built
    replayed = {row["daemon"]: row for row in mesh.ok("admin", "replay", "--json").json}
    assert replayed.keys() == {"request", "scheduler", "collector", "info"}
    assert all((row["jobs_started"], row["events_written"]) == (0, {}) for row in replayed.values()), replayed


def test_nothing_of_a_build_is_left_behind(built):
    mesh, _, _ = built
    work = mesh.home / "runner-1" / "work"
    assert list((work / "jobs").glob("*")) == []
    assert str(work) not in Path("/proc/self/mountinfo").read_text()
