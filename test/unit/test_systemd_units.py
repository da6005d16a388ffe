"""The units of systemd/, checked by systemd's own tools. Nothing is booted; `make boot` does that."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cloud_builder.model.role import Role

FOLDER = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
CONFINED = [name for name in SERVICES if not name.startswith("cb-runner")]
MAX_EXPOSURE = 3.0


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_every_daemon_has_a_systemd_unit():
    daemons = {str(role).removeprefix("cb-") for role in Role if role is not Role.CLIENT}
    assert {re.split(r"[-@.]", name)[1] for name in SERVICES} == daemons


@pytest.mark.parametrize("name", [*SERVICES, "cloud-builder.target"])
def test_systemd_accepts_each_unit(name):
    result = run("systemd-analyze", "verify", "--man=no", f"./{name}")
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("name", CONFINED)
def test_unit_of_a_daemon_that_builds_nothing_is_hardened(name):
    result = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"./{name}").stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result)
    assert found, result
    assert float(found[1]) <= MAX_EXPOSURE


@pytest.mark.parametrize("name", SERVICES)
def test_unit_has_readiness_watchdog_stop_timeout_and_restart(name):
    text = (FOLDER / name).read_text()
    for line in ("Type=notify", "WatchdogSec=", "TimeoutStopSec=30", "Restart=on-failure", "User=cloud-builder"):
        assert f"\n{line}" in text


@pytest.mark.parametrize("name", SERVICES)
def test_stop_signals_only_the_daemon_and_not_its_children(name):
    assert "\nKillMode=mixed\n" in (FOLDER / name).read_text()


def test_target_does_not_delay_the_boot_and_stops_before_a_shutdown():
    text = (FOLDER / "cloud-builder.target").read_text()
    for line in ("DefaultDependencies=no", "Conflicts=shutdown.target", "Before=shutdown.target"):
        assert f"\n{line}\n" in text
    assert "\nAfter=" not in text


def test_how_to_page_enables_every_daemon():
    page = (FOLDER.parent / "doc" / "how-to" / "run-as-services.md").read_text()
    [enabled] = re.findall(r"^systemctl enable (cb-.*)$", page, re.MULTILINE)
    assert {word.replace("@runner-1", "@") + ".service" for word in enabled.split()} == set(SERVICES)


def test_systemd_accepts_users_and_directories(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").touch()
    (tmp_path / "etc" / "group").touch()
    at = f"--root={tmp_path}"
    users = run("systemd-sysusers", "--dry-run", at, str(FOLDER / "sysusers.d" / "cloud-builder.conf"))
    assert users.returncode == 0, users.stderr
    assert "cloud-builder" in users.stdout + users.stderr
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\ncloud-builder:x:990:990::/:/bin/false\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\ncloud-builder:x:990:\n")
    directories = run(
        "systemd-tmpfiles", "--create", "--dry-run", at, str(FOLDER / "tmpfiles.d" / "cloud-builder.conf")
    )
    if "unrecognized option" in directories.stderr:  # systemd before 256 has no --dry-run; --clean parses the file too
        directories = run("systemd-tmpfiles", "--clean", at, str(FOLDER / "tmpfiles.d" / "cloud-builder.conf"))
    assert (directories.returncode, directories.stderr) == (0, "")
