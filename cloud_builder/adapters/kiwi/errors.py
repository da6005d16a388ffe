"""Whose fault a failed preparation is: the description's (Permanent) or the world's around us (Retryable).

Comes in: the end of what KIWI and apt said. Goes out: an error with the lines that tell the cause.
"""

from __future__ import annotations

import re

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable

_MOST_LINES = 8
_UNREACHABLE = re.compile(
    r"could not connect|unable to connect|could not resolve|temporary failure resolving|connection (failed|timed out|"
    r"refused|reset)|no route to host|network is unreachable|hash sum mismatch|file has unexpected size|"
    r"\b50[0-9]  |failed to fetch \S+\.deb ",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_APT = re.compile(r"(?:^|\s)E: (.*)")
_SCHEMA = re.compile(r":\d+:\d+: error: (.*)")
_KIWI = re.compile(r"\[ ERROR +\]: [\d:]+ \| (.*)")
_HINTS = (
    (re.compile(r"unable to locate package", re.IGNORECASE), "correct the name, or add the repository that has it"),
    (
        re.compile(r"404 +not found|does not have a release file", re.IGNORECASE),
        "correct its path or distribution",
    ),
    (re.compile(r"not signed|no_pubkey", re.IGNORECASE), "add its key: <source><signing key=…/></source>"),
)
_SEE_LOG = "the log has everything that KIWI said"


def error_from_output(file: str, said: str) -> CloudBuilderError:
    """`file`: the description's name; `said`: all or the end of the output."""
    causes = causes_in(said)
    told = "\n  ".join(causes) or "KIWI did not say why"
    text = "\n".join(causes)
    if _FULL.search(said):
        return Retryable(f"no room to prepare the build root: {told}", code="disk-full", hint="free some", delay=60.0)
    if _UNREACHABLE.search(text):
        hint = "is this machine online, and the address in the file right?"
        return Retryable(f"a repository of {file} cannot be reached: {told}", code="repository", hint=hint, delay=10.0)
    hint = next((hint for pattern, hint in _HINTS if pattern.search(text)), _SEE_LOG)
    return Permanent(f"{file}: {told}", code="root", hint=hint)


def causes_in(said: str) -> list[str]:
    """The lines that matter, most telling kind first: the schema's, apt's, KIWI's own."""
    lines = said.replace("\r", "\n").splitlines()
    for pattern in (_SCHEMA, _APT, _KIWI):
        found = [match.group(1).strip() for line in lines if (match := pattern.search(line))]
        if causes := [cause for cause in dict.fromkeys(found) if cause]:
            return causes[:_MOST_LINES]
    return [line for line in lines if line.strip()][-_MOST_LINES:]
