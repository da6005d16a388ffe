"""What a principal may not do on a cluster, in words: the thing, the principal, and the command that allows it.

Comes in: an error code of librdkafka with what was asked for. Goes out: NotAllowed. What each daemon needs is known
elsewhere (model/topics.py, from which schemas/acls.sh is generated); here is told what it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from confluent_kafka import KafkaError

from cloud_builder.errors import NotAllowed
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import QUEUE

TOPIC, GROUP, TRANSACTIONAL_ID = "topic", "group", "transactional-id"
READ, WRITE, DESCRIBE = "Read", "Write", "Describe"

REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
"""No waiting mends these: somebody has to allow it."""
_ALL = "schemas/acls.sh allows all that each daemon needs."


def missing_acl(settings: BrokerSettings, operation: str, kind: str, names: Iterable[str]) -> NotAllowed:
    """The error to raise when `operation` on things of one kind was refused."""
    wanted = sorted(names)
    things = f"{kind.replace('-', ' ')}{'s' if len(wanted) > 1 else ''} {', '.join(wanted)}"
    verb = {READ: "read", WRITE: "write to", DESCRIBE: "see"}[operation] if kind == TOPIC else "use"
    return NotAllowed(
        f"{things}: {principal(settings)} may not {verb} {'them' if len(wanted) > 1 else 'it'}",
        code="broker-rights",
        hint=f"{grant_command(settings, operation, kind, wanted)}\n  {_ALL}",
    )


def principal(settings: BrokerSettings) -> str:
    """Whom the broker takes us for, as far as our own settings tell."""
    options = settings.options
    if name := options.get("sasl.username") or options.get("sasl.kerberos.principal", "").partition("@")[0]:
        return f"User:{name.partition('/')[0]}"
    protocol = options.get("security.protocol", "").upper()
    if protocol.startswith("SASL"):
        return "User:<who it logs in as>"
    if certificate := options.get("ssl.certificate.location"):
        return f"User:<subject of {certificate}>"
    return "User:ANONYMOUS"


def grant_command(settings: BrokerSettings, operation: str, kind: str, names: Iterable[str]) -> str:
    """What an administrator says to allow it. Of queues all are allowed, because more of them come by themselves."""
    operations = dict.fromkeys([operation, DESCRIBE])
    shared = [name for name in names if kind == TOPIC and QUEUE.has(name)]
    words = ["kafka-acls.sh", "--bootstrap-server", settings.bootstrap]
    if settings.options.get("security.protocol", "PLAINTEXT").upper() != "PLAINTEXT":
        words += ["--command-config", "admin.properties"]
    words += ["--add", "--allow-principal", _quoted(principal(settings))]
    words += [word for one in operations for word in ("--operation", one)]
    if shared:
        return " ".join([*words, "--resource-pattern-type", "prefixed", "--topic", QUEUE.prefix])
    return " ".join([*words, *(word for name in names for word in (f"--{kind}", name))])


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w:@%+=,./-]+", word) else f"'{word}'"
