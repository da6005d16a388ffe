"""The units of systemd/ as systemd itself judges them; nothing is booted (`make boot` does that)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cloud_builder.model.role import Role

FOLDER = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
CONFINED = [name for name in SERVICES if not name.startswith("cb-runner")]
MOST_EXPOSED = 3.0


def said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_every_daemon_has_its_unit():
    daemons = {str(role).removeprefix("cb-") for role in Role if role is not Role.CLIENT}
    assert {re.split(r"[-@.]", name)[1] for name in SERVICES} == daemons


@pytest.mark.parametrize("name", [*SERVICES, "cloud-builder.target"])
def test_systemd_finds_nothing_wrong(name):
    verdict = said("systemd-analyze", "verify", "--man=no", f"./{name}")
    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")


@pytest.mark.parametrize("name", CONFINED)
def test_a_daemon_that_builds_nothing_is_hardened(name):
    verdict = said("systemd-analyze", "security", "--offline=true", "--no-pager", f"./{name}").stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict)
    assert found, verdict
    assert float(found[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_waits_for_readiness_watches_and_ends_in_time(name):
    text = (FOLDER / name).read_text()
    for line in ("Type=notify", "WatchdogSec=", "TimeoutStopSec=30", "Restart=on-failure", "User=cloud-builder"):
        assert f"\n{line}" in text


@pytest.mark.parametrize("name", SERVICES)
def test_only_the_daemon_is_told_to_stop_and_not_what_it_runs(name):
    assert "\nKillMode=mixed\n" in (FOLDER / name).read_text()


def test_a_boot_does_not_wait_for_the_daemons_and_they_end_before_a_shutdown():
    text = (FOLDER / "cloud-builder.target").read_text()
    for line in ("DefaultDependencies=no", "Conflicts=shutdown.target", "Before=shutdown.target"):
        assert f"\n{line}\n" in text
    assert "\nAfter=" not in text


def test_the_page_starts_every_daemon():
    page = (FOLDER.parent / "doc" / "how-to" / "run-as-services.md").read_text()
    [enabled] = re.findall(r"^systemctl enable (cb-.*)$", page, re.MULTILINE)
    assert {word.replace("@runner-1", "@") + ".service" for word in enabled.split()} == set(SERVICES)


def test_users_and_directories_can_be_made(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").touch()
    (tmp_path / "etc" / "group").touch()
    at = f"--root={tmp_path}"
    users = said("systemd-sysusers", "--dry-run", at, str(FOLDER / "sysusers.d" / "cloud-builder.conf"))
    assert users.returncode == 0, users.stderr
    assert "cloud-builder" in users.stdout + users.stderr
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\ncloud-builder:x:990:990::/:/bin/false\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\ncloud-builder:x:990:\n")
    places = said("systemd-tmpfiles", "--create", "--dry-run", at, str(FOLDER / "tmpfiles.d" / "cloud-builder.conf"))
    if "unrecognized option" in places.stderr:  # systemd before 256 only checks what it also makes
        places = said("systemd-tmpfiles", "--clean", at, str(FOLDER / "tmpfiles.d" / "cloud-builder.conf"))
    assert (places.returncode, places.stderr) == (0, "")
