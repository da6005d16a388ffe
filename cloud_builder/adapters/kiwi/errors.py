"""Makes an error from the output of a failed preparation.

Input: the end of the output of KIWI and apt. Output: Permanent when the description is at fault, Retryable when the
network, a mirror or the disk is; the message has the lines that name the cause.
"""

from __future__ import annotations

import re

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable

_MAX_LINES = 8
_UNREACHABLE = re.compile(
    r"could not connect|unable to connect|could not resolve|temporary failure|something wicked|timed out|"
    r"connection (failed|refused|reset)|no route to host|network is unreachable|error reading from server|"
    r"remote end closed|\b(429|50[0-9])  |failed to fetch \S+\.deb |"
    # The mirror is being updated, too old, or something else answers in its place.
    r"hash sum mismatch|file has unexpected size|clearsigned file isn't valid|badsig|is expired|is not valid yet",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_APT = re.compile(r"(?:^|\s)(?:E: |W: (?=GPG error))(.*)")
_SCHEMA = re.compile(r":\d+:\d+: error: (.*)")
_KIWI = re.compile(r"\[ ERROR +\]: [\d:]+ \| (.*)")
_HINTS = (
    (re.compile(r"unable to locate package", re.IGNORECASE), "Correct the name, or add the repository that has it."),
    (
        re.compile(r"404 +not found|does not have a release file", re.IGNORECASE),
        "Correct its path or distribution.",
    ),
    (
        re.compile(r"not signed|no_pubkey", re.IGNORECASE),
        'Name its key: <source path="…"><signing key="this://./NAME.asc"/></source>, a file beside build_root.kiwi. '
        "Without one it is checked against the archive keys of Debian.",
    ),
)
_SEE_LOG = "The log has the whole output of KIWI."


def error_from_output(file: str, output: str) -> CloudBuilderError:
    """Returns the error. `file`: the name of the description. `output`: the whole output, or its end."""
    causes = causes_in(output)
    reason = "\n  ".join(causes) or "KIWI printed no cause"
    text = "\n".join(causes)
    if _FULL.search(output):
        return Retryable(
            f"no space to prepare the build root: {reason}", code="disk-full", hint="Free disk space.", delay=60.0
        )
    if _UNREACHABLE.search(text):
        hint = "Check that this machine is online, and that the address in the file is right."
        return Retryable(
            f"a repository of {file} cannot be reached: {reason}", code="repository", hint=hint, delay=10.0
        )
    hint = next((hint for pattern, hint in _HINTS if pattern.search(text)), _SEE_LOG)
    return Permanent(f"{file}: {reason}", code="root", hint=hint)


def causes_in(output: str) -> list[str]:
    """Returns the lines that name the cause: of the schema check, else of apt, else of KIWI, else the last ones."""
    lines = output.replace("\r", "\n").splitlines()
    for pattern in (_SCHEMA, _APT, _KIWI):
        found = [match.group(1).strip() for line in lines if (match := pattern.search(line))]
        if causes := [cause for cause in dict.fromkeys(found) if cause]:
            return causes[:_MAX_LINES]
    return [line for line in lines if line.strip()][-_MAX_LINES:]
