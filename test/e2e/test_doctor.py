"""`cb-ctl doctor` on this machine: as who runs builds, and where something is broken on purpose."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.model.topics import QUERY, TOPICS
from support.ctl_mesh import Account, CtlMesh, CtlResult, ordinary_account
from support.waiting import LIMIT, until

PROGRAMS = ("git", "tar", "zstd", "rsync", "xz", "gpg", "gpgconf", "dpkg-deb", "dpkg-source", "mount")
WITHOUT_IDS = 'mount --bind /dev/null /etc/subuid && exec "$@"'


class WithoutIds(Account):
    """An ordinary user as if it had no line in /etc/subuid."""

    def command(self, *words: str) -> list[str]:
        return ["unshare", "--mount", "sh", "-c", WITHOUT_IDS, "sh", *super().command(*words)]


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="cb-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def mesh_of(directory: Path, account: Account) -> CtlMesh:
    account.own(directory)
    return CtlMesh(directory / "home", directory / "cache", account=account)


def findings(result: CtlResult, level: str, check: str) -> list[dict[str, str]]:
    return [one for one in result.json if one["level"] == level and one["check"] == check]


def test_doctor_finds_no_error_where_builds_work(account, directory):
    result = mesh_of(directory, account).ctl("doctor", "--json")
    assert [one for one in result.json if one["level"] == "error"] == []
    assert result.status == 0
    assert {"python", "programs", "sandbox", "limits", "home", "work"} <= {one["check"] for one in result.json}


def test_a_missing_program_is_named_with_its_package(account, directory):
    mesh = mesh_of(directory, account)
    (directory / "bin").mkdir()
    for name in (*PROGRAMS[1:], "setpriv"):
        (directory / "bin" / name).symlink_to(str(shutil.which(name)))
    mesh.environment["PATH"] = str(directory / "bin")
    result = mesh.ctl("doctor", "--json")
    assert result.status == 4, result
    fixes = {one["fix"] for one in findings(result, "error", "programs")}
    assert fixes == {"apt-get install git"} | ({"apt-get install uidmap"} if account.user or os.geteuid() else set())


if os.geteuid() == 0:

    @pytest.mark.parametrize("command", [("doctor",), ("up", "--detach", "--port", "0")], ids=["doctor", "up"])
    def test_doctor_and_up_report_missing_subordinate_ids(command, directory):
        account = WithoutIds(ordinary_account().user)
        result = mesh_of(directory, account).ctl(*command)
        assert result.status == 4, result
        assert f"user {account.user} has no range of subordinate ids" in result.out + result.err
        assert "usermod --add-subuids" in result.out + result.err
        assert not (directory / "home" / "run").exists()


def test_a_broker_that_is_not_there_is_an_error(directory):
    result = mesh_of(directory, Account()).ctl("doctor", "--broker", "127.0.0.1:1", "--json")
    assert result.status == 4, result
    [finding] = findings(result, "error", "broker")
    assert "127.0.0.1:1 cannot be reached" in finding["message"]


def test_topics_of_a_real_kafka_are_compared_with_the_table(directory, own_kafka_server):
    settings = own_kafka_server.settings
    doctor = ("doctor", "--broker", settings.bootstrap, "--json")
    mesh = mesh_of(directory, Account())
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    wrong = NewTopic(QUERY.name, 1, 1, config={"cleanup.policy": "compact", "max.message.bytes": "1000"})
    admin.create_topics([wrong])[QUERY.name].result()
    before = mesh.ctl(*doctor)
    assert len(findings(before, "warning", "topics")) == len(TOPICS) - 1  # those that do not exist yet
    messages = " ".join(one["message"] for one in findings(before, "error", "topics"))
    assert "cb.query has cleanup.policy=compact, not delete" in messages
    assert "cb.query has max.message.bytes=1000" in messages
    assert before.status == 4
    admin.delete_topics([QUERY.name])[QUERY.name].result()
    until(lambda: QUERY.name not in admin.list_topics(timeout=LIMIT).topics, f"the end of {QUERY.name}")
    broker = KafkaBroker(settings)
    broker.ensure_topics(TOPICS)
    broker.close()
    after = mesh.ctl(*doctor)
    assert findings(after, "ok", "topics"), after
    assert after.status == 0, after
