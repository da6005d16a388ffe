"""cb-ctl as typed: help, typing errors, exit codes, the output of --json. Needs no mesh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cloud_builder.cli import deadletter, lists, source
from cloud_builder.cli.main import COMMANDS, cli, run
from cloud_builder.errors import ExitCode
from support.factories import changelog

GROUPS = {"cb-ctl": COMMANDS, "list": lists.TABLE, "source": source.TABLE, "dead-letter": deadletter.TABLE}
ENTRIES = [(name, *entry) for table in GROUPS.values() for name, entry in table.items()]


@pytest.fixture(autouse=True)
def no_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CB_HOME", str(tmp_path / "home"))


def test_check_names_repositories_that_nobody_verifies(tmp_path: Path) -> None:
    unit = tmp_path / "hello"
    repository = '<repository repository_gpgcheck="false"><source path="http://m/debian"/></repository>'
    for file, text in {
        ".cb/cloud_builder.yml": "schema_version: 1.0\nname: hello\ndistributions: [{dist: sid, arch: x86_64}]\n",
        ".cb/build_root.kiwi": f'<image><profiles><profile name="sid.x86_64"/></profiles>{repository}</image>',
        "debian/control": "Source: hello\n\nPackage: hello\nArchitecture: any\n",
        "debian/changelog": changelog("hello"),
    }.items():
        (unit / file).parent.mkdir(parents=True, exist_ok=True)
        (unit / file).write_text(text)
    shown = CliRunner().invoke(cli, ["check", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert 'unverified: no signature of http://m/debian is checked (repository_gpgcheck="false"): hello' in shown.output
    rows = json.loads(CliRunner().invoke(cli, ["check", str(tmp_path), "--json"]).output)["units"]
    assert [row["unverified"] for row in rows] == [["http://m/debian"]]


def test_help_loads_no_heavy_module() -> None:
    heavy = ("rich", "confluent_kafka", "pydantic", "yaml", "git", "sqlite3", "urllib.request", "kiwi")
    code = (
        "import sys; from cloud_builder.cli.main import run; code = run(['--help']);"
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules], code)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "LOADED [] 0"
    assert all(f"  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize(("name", "module", "attribute", "line"), ENTRIES)
def test_table_entry_names_its_command_with_a_short_help_line(
    name: str, module: str, attribute: str, line: str
) -> None:
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert line.endswith(".")
    assert len(line) < 70


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_global_options(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    local = ("build", "shell", "check", "clean")
    for option in ("--json", "--home", "--help", *(() if name in local else ("--broker",))):
        assert option in result.output


@pytest.mark.parametrize(
    ("typed", "output"),
    [
        (["stauts"], "Did you mean status?"),
        (["souce", "list"], "Did you mean source?"),
        (["list", "job"], "Did you mean jobs?"),
        (["source", "ad"], "Did you mean add?"),
        (["dead-letter", "retyr"], "Did you mean retry?"),
        (["status", "--jsno"], "--json"),
        (["request", "--wach", "x"], "--watch"),
        (["xyzzy"], "cb-ctl --help"),
        (["request"], "--all"),
        (["request", "--all", "packages/hello"], "--all"),
        (["request", "--since", "v1", "packages/hello"], "exactly one of UNIT…, --all and --since REV"),
        (["request", "hello", "--deadline", "30"], "write 30s, 30m or 30h"),
        (["request", "hello", "--deadline", "soon"], "for example 90s, 30m"),
        (["request", "hello", "--deadline", "90d"], "at most 30 days"),
        (["request", "hello", "--priority", "high"], "'interactive', 'normal', 'bulk'"),
        (["request", "hello", "--rebuild-dependents"], "--rebuild-dependants"),
        (["request", "hello", "--profiles", "No,check"], "'No' is not the name of a build profile"),
        (["build", ".", "--build-options", "a b=c d=\n"], "is not a build option"),
        (["up", "--source", "nameonly"], "NAME=URL"),
        (["up", "--runners", "many"], "many"),
        (["clean", "layrs"], "Did you mean layers?"),
        (["completion", "csh"], "bash"),
    ],
)
def test_wrong_usage_exits_2_and_names_the_nearest_word(
    typed: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed) == ExitCode.USAGE
    assert output in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["status"], ["list", "jobs"], ["request", "--all"], ["logs", "x"], ["get", "x"]])
def test_command_without_a_mesh_prints_the_next_step(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed) == ExitCode.INFRASTRUCTURE
    output = capsys.readouterr().err
    assert "no mesh is running" in output
    assert "cb-ctl up" in output


@pytest.mark.parametrize("typed", [["--json", "status"], ["status", "--json"]])
def test_error_is_json_with_the_json_option(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed) == ExitCode.INFRASTRUCTURE
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["code"], "cb-ctl up" in error["hint"]) == ("no-mesh", True)


def test_bad_setting_is_rejected(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CB_RUNNER__SLOTS", "none")
    assert run(["status"]) == ExitCode.REJECTED
    assert "CB_RUNNER__SLOTS" in capsys.readouterr().err
    assert run(["status", "--broker", "nowhere"]) == ExitCode.REJECTED


def test_home_that_cannot_be_written_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["up", "--detach", "--port", "0", "--home", str(tmp_path / "file" / "home")]) == ExitCode.INFRASTRUCTURE
    assert "--home" in capsys.readouterr().err


def test_down_without_a_mesh_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down", "--json"]) == ExitCode.SUCCESS
    assert json.loads(capsys.readouterr().out) == {"stopped": []}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == ExitCode.SUCCESS
    assert "_CB_CTL_COMPLETE" in capsys.readouterr().out


def test_completion_completes_a_command() -> None:
    env = {**os.environ, "_CB_CTL_COMPLETE": "bash_complete", "COMP_WORDS": "cb-ctl sta", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from cloud_builder.cli.main import main; main()"]
    output = subprocess.run(command, capture_output=True, text=True, env=env, check=False).stdout
    assert output.strip() == "plain,status"


def test_wrong_usage_is_json_with_the_json_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "job", "--json"]) == ExitCode.USAGE
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["code"], error["message"]) == ("usage", "No such command 'job'. Did you mean jobs?")


def test_closed_stdout_is_success() -> None:
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from cloud_builder.cli.main import run; sys.exit(run(['completion', 'bash']))"
    try:
        assert subprocess.run([sys.executable, "-c", code], stdout=write, check=False).returncode == ExitCode.SUCCESS
    finally:
        os.close(write)
