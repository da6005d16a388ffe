"""Reads the description of a source package (*.dsc), and makes the stanza of a Sources index from it.

A stanza is made from the parsed paragraph, so that a crafted description cannot add a second stanza to an index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage

from .binary_package import NAME, VERSION

if TYPE_CHECKING:
    from debian.deb822 import Dsc

MAX_DSC_BYTES = 4 * 1024 * 1024
_HINT = "Build the unit again."
_SUMS = {"Files": "md5sum", "Checksums-Sha1": "sha1", "Checksums-Sha256": "sha256"}


def read(path: Path) -> bytes:
    """Returns the text of a description; of a file that is too large to be one, its beginning."""
    with path.open("rb") as file:
        return file.read(MAX_DSC_BYTES + 1)


def source_package(dsc: bytes, artifacts: Sequence[Artifact]) -> SourcePackage:
    """Returns the source package that a description describes.

    `artifacts`: the description and its files. Raises Permanent (`not-a-dsc`) when the description is malformed, or
    when `artifacts` are not exactly the files that it lists."""
    fields = _parsed(dsc)
    by_content: dict[tuple[str, str], Artifact] = {
        (a.name, a.sha256): a for a in artifacts if a.kind is ArtifactKind.SOURCE
    }
    listed = listed_files(dsc)
    if sorted(by_content) != sorted(listed):
        names = ", ".join(name for name, _ in sorted(set(listed) ^ set(by_content))[:3])
        raise malformed(f"the files of the source package are not those that its .dsc lists: {names}")
    descriptions = [artifact for artifact in artifacts if artifact.kind is ArtifactKind.DSC]
    files = (*descriptions, *(by_content[entry] for entry in listed))
    return SourcePackage(name=fields["Source"], version=fields["Version"], files=files)


def listed_files(dsc: bytes) -> list[tuple[str, str]]:
    """Returns name and sha256 of the files that a description lists. Raises Permanent (`not-a-dsc`)."""
    return [(entry.get("name", ""), entry.get("sha256", "")) for entry in _parsed(dsc)["Checksums-Sha256"]]


def sources_entry(dsc: bytes, name: str, directory: str) -> str:
    """Returns the stanza of a Sources index, with a newline at its end.

    `name`: of the description. `directory`: of it and its files, relative to the URL of the repository."""
    fields = _parsed(dsc)
    for field, key in _SUMS.items():
        if field in fields:
            digest = hashlib.new(key.removesuffix("sum"), dsc, usedforsecurity=False).hexdigest()
            fields[field].append({key: digest, "size": str(len(dsc)), "name": name})
    fields["Package"] = fields.pop("Source")
    fields.order_first("Package")
    fields.update(_section_and_priority(fields))
    fields["Directory"] = directory
    text: str = fields.dump()
    return text


def _section_and_priority(fields: Dsc) -> dict[str, str]:
    """Returns those of the first binary package (dsc(5), Package-List), as an index of Debian has them."""
    first: dict[str, str] = next(iter(fields.get("Package-List") or ()), {})
    return {field: first[field.lower()] for field in ("Priority", "Section") if field.lower() in first}


def _parsed(dsc: bytes) -> Dsc:
    from debian.deb822 import Dsc

    if len(dsc) > MAX_DSC_BYTES:
        raise malformed(f"it has more than {MAX_DSC_BYTES} bytes")
    try:
        fields = Dsc(dsc.decode(errors="replace"))
        sums: Any = fields.get("Checksums-Sha256")
    except (ValueError, TypeError, KeyError, EOFError) as cause:
        raise malformed(f"it cannot be read: {cause}") from cause
    for field, allowed in (("Source", NAME), ("Version", VERSION)):
        if not allowed.fullmatch(fields.get(field, "")):
            raise malformed(f"no valid {field}")
    if not sums or not isinstance(sums, list):
        raise malformed("no Checksums-Sha256")
    return fields


def malformed(message: str) -> Permanent:
    """Returns the error for a .dsc that describes no complete source package."""
    return Permanent(f"the .dsc of the build: {message}", code="not-a-dsc", hint=_HINT)
