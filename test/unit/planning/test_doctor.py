"""Findings from facts: each fault with its level, its cause and the command that fixes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_builder.planning.doctor import (
    GIB,
    BrokerFacts,
    DirectoryFacts,
    Facts,
    Finding,
    KeyFacts,
    Level,
    ProbeError,
    RepositoryFacts,
    TopicFacts,
    errors,
    judge,
)

NOW = 1_800_000_000.0
WORK = DirectoryFacts(
    "work", "/w", "ext4", 50 * GIB, 10**6, True, frozenset({"rw"}), builds=True, setting="runner.work"
)
HOME = replace(WORK, name="home", path="/h", builds=False, setting="home")
EXPECTED = TopicFacts(
    "cb.job", 1, {"cleanup.policy": "compact,delete", "max.message.bytes": "8388608", "retention.ms": "604800000"}
)
BROKER = BrokerFacts("k:9092", topics=((EXPECTED, EXPECTED),))
COMPLETE = Facts(
    user="builder",
    now=NOW,
    kernel="6.1.0",
    python=(3, 11, 2),
    is_sandbox_tried=True,
    cgroup_controllers=frozenset({"memory", "pids", "cpu"}),
    directories=(HOME, WORK),
    key=KeyFacts("/h/gnupg", expires=0.0),
    port=("127.0.0.1:8480", None),
    broker=BROKER,
)


def topic(**changed: object) -> BrokerFacts:
    return replace(BROKER, topics=((EXPECTED, replace(EXPECTED, **changed)),))


def configured(**settings: str) -> BrokerFacts:
    return topic(settings={**EXPECTED.settings, **{name.replace("_", "."): value for name, value in settings.items()}})


FAULTS: list[tuple[str, dict[str, object], str, str, str]] = [
    ("old python", {"python": (3, 9, 1)}, "error", "Python 3.9.1 is too old", "apt-get install python3"),
    ("no kiwi", {"kiwi": ProbeError("not there")}, "error", "KIWI cannot be loaded", "pip install"),
    ("no git", {"missing": (("git", "git", True),)}, "error", "git is not installed", "apt-get install git"),
    ("no jing", {"missing": (("jing", "jing", False),)}, "warning", "jing is not", "apt-get install jing"),
    ("no subuid", {"sandbox_error": ProbeError("no range", "usermod -x")}, "error", "no range", "usermod -x"),
    ("no seccomp", {"seccomp": False}, "warning", "no seccomp", "CONFIG_SECCOMP_FILTER"),
    ("no cgroup", {"cgroup_controllers": frozenset()}, "warning", "watchdog", "Delegate=yes"),
    ("no pids", {"cgroup_controllers": frozenset({"memory"})}, "warning", "with pids", "Delegate=yes"),
    ("foreign home", {"directories": (replace(HOME, writable=False),)}, "error", "/h cannot be", "chown builder /h"),
    ("little space", {"directories": (replace(HOME, free=GIB // 2),)}, "warning", "512 MiB of free space", "df -h /h"),
    ("no space", {"directories": (replace(WORK, free=1),)}, "error", "1 B of free space", "runner.work"),
    ("few inodes", {"directories": (replace(WORK, inodes=9000),)}, "warning", "9000 files", "df -i /w"),
    ("no inodes", {"directories": (replace(WORK, inodes=10),)}, "error", "10 files", "df -i /w"),
    ("overlay", {"directories": (replace(WORK, file_system="overlay"),)}, "error", "on overlay", "runner.work"),
    ("nfs", {"directories": (replace(WORK, file_system="nfs4"),)}, "error", "on nfs4", "ext4"),
    ("noexec", {"directories": (replace(WORK, options=frozenset({"noexec"})),)}, "error", "noexec", "remount,exec"),
    ("nosuid", {"directories": (replace(WORK, options=frozenset({"nosuid"})),)}, "warning", "nosuid", "remount,suid"),
    ("clock unset", {"now": 86400.0}, "error", "never set", "timedatectl"),
    ("clock behind", {"broker": replace(BROKER, ahead=99.0)}, "warning", "99 s ahead", "timedatectl"),
    ("clock far behind", {"broker": replace(BROKER, ahead=9999.0)}, "error", "9999 s", "timedatectl"),
    ("open key", {"key": KeyFacts("/k", ("/k/a.key",), expires=0.0)}, "error", "/k/a.key", "chmod go= /k/a.key"),
    (
        "foreign key",
        {"key": KeyFacts("/k", foreign=True, expires=0.0)},
        "error",
        "does not belong",
        "chown -R builder /k",
    ),
    ("broken key", {"key": KeyFacts("/k", error="bad")}, "error", "bad", "gpg --homedir /k -K"),
    ("expired key", {"key": KeyFacts("/k", expires=NOW - 1)}, "error", "has expired", "--quick-set-expire"),
    (
        "key that expires soon",
        {"key": KeyFacts("/k", expires=NOW + 5 * 86400)},
        "warning",
        "in 5 days",
        "--quick-set-expire",
    ),
    ("port taken", {"port": ("h:1", ProbeError("Address already in use"))}, "error", "already in use", "--port N"),
    ("no broker", {"broker": BrokerFacts("k", error=ProbeError("gone", "start it"))}, "error", "gone", "start it"),
    (
        "no share groups",
        {"broker": BrokerFacts("k", share_group_error=ProbeError("too old", "4.2"))},
        "error",
        "too old",
        "4.2",
    ),
    ("no topic", {"broker": topic(exists=False)}, "warning", "does not exist", "schemas/topics.sh"),
    (
        "policy",
        {"broker": configured(cleanup_policy="delete")},
        "error",
        "cleanup.policy=delete, not compact,delete",
        "kafka-configs.sh --bootstrap-server k:9092 --alter --topic cb.job --add-config "
        "'cleanup.policy=[compact,delete]'",
    ),
    ("small messages", {"broker": configured(max_message_bytes="1000")}, "error", "=1000", "max.message.bytes"),
    ("short retention", {"broker": configured(retention_ms="1000")}, "warning", "=1000", "retention.ms"),
]

NAMES = [fault[0] for fault in FAULTS]


def faults(facts: Facts) -> list[Finding]:
    return [finding for finding in judge(facts) if finding.level is not Level.OK]


def test_complete_machine_has_no_findings():
    assert faults(COMPLETE) == []
    assert {finding.check for finding in judge(COMPLETE)} >= {"python", "sandbox", "limits", "work", "key", "broker"}


@pytest.mark.parametrize(("changed", "level", "message", "fix"), [fault[1:] for fault in FAULTS], ids=NAMES)
def test_each_fault_is_one_finding(changed, level, message, fix):
    [finding] = faults(replace(COMPLETE, **changed))
    assert finding.level == level
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    "broker",
    [
        configured(cleanup_policy="delete,compact"),
        configured(max_message_bytes="99999999"),
        configured(retention_ms="-1"),
        topic(settings={}),
        topic(partitions=4),
    ],
)
def test_settings_beyond_the_topic_table_are_ok(broker):
    assert faults(replace(COMPLETE, broker=broker)) == []


def test_facts_that_were_not_probed_are_not_reported():
    bare = Facts(user="u", now=NOW)
    assert {finding.check for finding in judge(bare)} == {"python", "programs", "clock"}
    assert errors(judge(bare)) == ()


def test_held_builds_of_a_repository_are_a_warning() -> None:
    held, fine = RepositoryFacts("a-bookworm", held=2, kept=1), RepositoryFacts("b-bookworm", kept=1)
    findings = [
        finding for finding in judge(replace(COMPLETE, repositories=(held, fine))) if finding.check == "published"
    ]
    assert [(finding.level, finding.fix) for finding in findings] == [
        (Level.WARNING, "cb-ctl why a-bookworm"),
        (Level.OK, ""),
    ]
    assert "2 builds are held back" in findings[0].message
