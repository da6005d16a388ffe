"""Settings: which source wins, and the error for a wrong value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud_builder.errors import Rejected
from cloud_builder.wiring import rundir
from cloud_builder.wiring.settings import BrokerOrigin, load, parse_broker, read


def write(home: Path, text: str) -> Path:
    file = home / "settings.yml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("file", "variables", "options", "slots"),
    [
        ("", {}, {}, 1),
        ("runner: {slots: 2}", {}, {}, 2),
        ("runner: {slots: 2}", {"CB_RUNNER__SLOTS": "3"}, {}, 3),
        ("runner: {slots: 2}", {"CB_RUNNER__SLOTS": "3"}, {"runner": {"slots": 4}}, 4),
        ("runner: {slots: 2}", {}, {"runner": {"slots": None}}, 2),
        ("", {"CB_RUNNER": "{slots: 5}"}, {}, 5),
    ],
)
def test_options_win_over_variables_over_file_over_defaults(
    tmp_path: Path, file: str, variables: dict[str, str], options: dict[str, Any], slots: int
) -> None:
    write(tmp_path, file)
    assert load(tmp_path, overrides=options, environ=variables).runner.slots == slots


def test_default_directories_follow_xdg(tmp_path: Path) -> None:
    found = load(environ={"HOME": "/h", "XDG_CACHE_HOME": str(tmp_path)})
    assert found.home == Path("/h/.local/state/cloud-builder")
    assert found.cache == tmp_path / "cloud-builder"


def test_home_variable_selects_the_file_in_it(tmp_path: Path) -> None:
    write(tmp_path, "log_level: debug")
    found = load(environ={"CB_HOME": str(tmp_path), "CB_CACHE": "/c"})
    assert (found.home, found.cache, found.log_level) == (tmp_path, Path("/c"), "debug")


def test_settings_variable_selects_another_file(tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text(f"home: {tmp_path}/there\nsources:\n  demo: {{url: /srv/demo}}\n")
    found = load(environ={"CB_SETTINGS": str(other), "HOME": "/h"})
    assert (found.home, found.sources["demo"].url) == (tmp_path / "there", "/srv/demo")


def test_broker_is_read_from_the_home_when_none_is_configured(tmp_path: Path) -> None:
    assert read(tmp_path, environ={}).broker_origin is BrokerOrigin.NONE
    rundir.write_broker(tmp_path, {"bootstrap": "127.0.0.1:4711", "embedded": True, "incarnation": "i1"})
    found = read(tmp_path, environ={})
    assert (found.broker_origin, found.settings.broker.bootstrap, found.settings.broker.embedded) == (
        BrokerOrigin.HOME,
        "127.0.0.1:4711",
        True,
    )
    named = load(tmp_path, environ={"CB_BROKER": "a:1,b:2"}).broker
    assert (named.bootstrap, named.embedded) == ("a:1,b:2", False)


@pytest.mark.parametrize(
    ("file", "variables", "parts"),
    [
        ("log_levl: debug", {}, ["settings.yml:1", "log_levl", "Did you mean log_level?"]),
        ("runner:\n  slot: 2", {}, ["settings.yml:2", "runner.slot", "Did you mean slots?"]),
        ("runner:\n  slots: many", {}, ["settings.yml:2", "runner.slots", "'many'"]),
        ("runner: [1", {}, ["settings.yml:1", "not YAML"]),
        ("- a", {}, ["settings.yml", "must be a mapping"]),
        ("", {"CB_RUNNER__SLOTS": "0"}, ["CB_RUNNER__SLOTS", "greater than or equal to 1"]),
        ("", {"CB_RUNNER__SLOT": "1"}, ["CB_RUNNER__SLOT", "Did you mean slots?"]),
        ("", {"CB_HOMEE": "/x"}, ["CB_HOMEE", "Did you mean CB_HOME?"]),
        ("", {"CB_BROKER": "localhost"}, ["CB_BROKER", "not HOST:PORT"]),
        ("", {"CB_SETTINGS": "/no/such.yml"}, ["/no/such.yml", "no such settings file"]),
    ],
)
def test_wrong_value_is_rejected_with_origin_key_and_cause(
    tmp_path: Path, file: str, variables: dict[str, str], parts: list[str]
) -> None:
    write(tmp_path, file)
    with pytest.raises(Rejected) as error:
        load(tmp_path, environ=variables)
    for part in parts:
        assert part in str(error.value)


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    load(tmp_path, environ={"CB_TEST_KAFKA": "x", "CB_XYZZY": "1"})


@pytest.mark.parametrize("text", ["", "host", "host:", ":9092", "host:0", "host:99999", "a:1,,b:2"])
def test_broker_without_host_and_port_is_rejected(text: str) -> None:
    with pytest.raises(Rejected, match="HOST:PORT"):
        parse_broker(text)


def test_reused_pid_is_not_the_recorded_process() -> None:
    import os

    me = rundir.process("me", os.getpid())
    assert rundir.is_alive(me)
    assert not rundir.is_alive(rundir.Process("me", me.pid, me.started + 1))
    assert rundir.process("none", 2**22 + 1).started == 0
