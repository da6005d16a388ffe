"""Errors for missing ACLs: the resource, the principal, and the command that allows the operation.

Input: an operation on resources that a cluster refused. Output: NotAllowed. The ACLs that each daemon needs are in
model/topics.py, from which schemas/acls.sh is generated.
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
"""Errors that waiting does not solve: an operator has to allow the operation."""
_ALL = "schemas/acls.sh allows all that each daemon needs."


def missing_acl(settings: BrokerSettings, operation: str, kind: str, names: Iterable[str]) -> NotAllowed:
    """Returns the error to raise if `operation` on resources of one kind was refused."""
    resources = sorted(names)
    things = f"{kind.replace('-', ' ')}{'s' if len(resources) > 1 else ''} {', '.join(resources)}"
    verb = {READ: "read", WRITE: "write to", DESCRIBE: "see"}[operation] if kind == TOPIC else "use"
    return NotAllowed(
        f"{things}: {principal(settings)} may not {verb} {'them' if len(resources) > 1 else 'it'}",
        code="broker-rights",
        hint=f"{grant_command(settings, operation, kind, resources)}\n  {_ALL}",
    )


def principal(settings: BrokerSettings) -> str:
    """Returns the principal that the broker sees, as far as the client's settings determine it."""
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
    """Returns the command for an operator. It allows all queues, because their topics are created as needed."""
    operations = dict.fromkeys([operation, DESCRIBE])
    queues = [name for name in names if kind == TOPIC and QUEUE.has(name)]
    words = ["kafka-acls.sh", "--bootstrap-server", settings.bootstrap]
    if settings.options.get("security.protocol", "PLAINTEXT").upper() != "PLAINTEXT":
        words += ["--command-config", "admin.properties"]
    words += ["--add", "--allow-principal", _quoted(principal(settings))]
    words += [word for name in operations for word in ("--operation", name)]
    if queues:
        return " ".join([*words, "--resource-pattern-type", "prefixed", "--topic", QUEUE.prefix])
    return " ".join([*words, *(word for name in names for word in (f"--{kind}", name))])


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w:@%+=,./-]+", word) else f"'{word}'"
