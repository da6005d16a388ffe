"""Reads a manifest (`.cb/cloud_builder.yml`).

Input: the text, from a commit (cb-request) or a working tree (`cb-ctl check`). Output: a checked manifest, or
ManifestError with every problem of the file and its line. Must not: do I/O, or raise another error for any text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cloud_builder.errors import Rejected

from . import lfs
from .ids import UnitPath
from .manifest_schema import KIND_OF_SECTION, VERSIONS, Manifest, Manifest01, Manifest10
from .manifest_yaml import Fault, Path, Tree, read
from .nearest import did_you_mean
from .unit import Problem

__all__ = [
    "MANIFEST",
    "Manifest",
    "Manifest01",
    "Manifest10",
    "ManifestError",
    "directory_of",
    "parse",
    "unit_path",
]

MANIFEST = ".cb/cloud_builder.yml"
"""The manifest of a unit, below the unit's directory."""

_MAX_PROBLEMS = 50


class ManifestError(Rejected):
    """The error for a manifest that cannot be used. `problems`: all of them, by line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)), code="broken-manifest")
        self.problems = problems


def directory_of(file: str) -> str:
    """Returns the unit's directory: `projects/packages/hello/.cb/cloud_builder.yml` → `projects/packages/hello`."""
    return file.removesuffix(MANIFEST).rstrip("/")


def unit_path(directory: str) -> UnitPath:
    """Returns the unit's path: `projects/packages/hello` → `packages/hello`; the top of a repository is `.`"""
    return UnitPath(directory.removeprefix("projects/") or ".")


def parse(text: bytes | str, file: str, *, name: str = "") -> Manifest:
    """Returns the manifest. Raises ManifestError with all problems.

    `file`: its path in the source, for messages.
    `name`: the name of the unit's directory; empty: as in `file`, and any name if the unit is the top directory."""
    raw = text.encode() if isinstance(text, str) else text
    if lfs.is_pointer(raw):
        raise ManifestError(tuple(_problems([Fault(1, lfs.message(file), lfs.HINT)], file)))
    tree = read(text)
    faults = list(tree.faults)
    manifest = None
    if not faults:
        manifest, faults = _check(tree, name or PurePosixPath(directory_of(file)).name)
    if manifest is None or faults:
        raise ManifestError(tuple(_problems(faults, file)))
    return manifest


def _problems(faults: list[Fault], file: str) -> Iterator[Problem]:
    path = unit_path(directory_of(file))
    ordered = sorted(faults, key=lambda fault: fault.line)
    for fault in ordered[:_MAX_PROBLEMS]:
        yield Problem(path=path, file=file, line=fault.line, message=fault.message[:500], hint=fault.hint[:500])
    if len(ordered) > _MAX_PROBLEMS:
        yield Problem(path=path, file=file, message=f"and {len(ordered) - _MAX_PROBLEMS} more problems")


def _check(tree: Tree, name: str) -> tuple[Manifest | None, list[Fault]]:
    if not isinstance(tree.value, dict):
        message = "the file is empty" if tree.value is None else "the file must hold keys and values"
        return None, [Fault(1, message, "Start with schema_version, name and distributions.")]
    version = tree.value.get("schema_version", "1.0")
    model = VERSIONS.get(version) if isinstance(version, str) else None
    if model is None:
        line = tree.line(("schema_version",))
        return None, [Fault(line, f'unknown schema_version "{version}"', "Known: 0.1, 1.0.")]
    faults = list(_wrong_name(tree, name))
    try:
        manifest = model.model_validate(tree.value)
    except ValidationError as error:
        return None, faults + [
            _fault(details, tree, model) for details in _without_consequences(error.errors(include_url=False))
        ]
    return manifest, faults + list(_wrong_sections(manifest, tree))


def _wrong_name(tree: Tree, name: str) -> Iterator[Fault]:
    written = tree.value.get("name") if isinstance(tree.value, dict) else None
    if name and isinstance(written, str) and written != name:
        hint = f"Write name: {name}, or rename the directory."
        yield Fault(tree.line(("name",)), f'the name "{written}" is not that of the directory, "{name}"', hint)


def _wrong_sections(manifest: Manifest, tree: Tree) -> Iterator[Fault]:
    """Checks the rules that a JSON Schema cannot express."""
    sections = manifest.sections()
    if len(sections) != 1:
        line = max((tree.line((key,)) for key in sections), default=1)
        found = " and ".join(sections) or "none"
        hint = f"Keep one of: {', '.join(KIND_OF_SECTION)}."
        yield Fault(
            line, f"a unit is a package, an image or a lab, and has one section of targets; found {found}", hint
        )
    if isinstance(manifest, Manifest10) and manifest.build is not None and "distributions" not in sections:
        hint = "Profiles of an image are in its selection."
        yield Fault(tree.line(("build",)), "build is a key of packages; this unit has no distributions", hint)
    for key, section in sections.items():
        yield from _repeated(tree, key, [entry.target().name for entry in section])


def _repeated(tree: Tree, key: str, names: list[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            first, second = [number for number, other in enumerate(names) if other == name][:2]
            hint = f"It is in line {tree.line((key, first))} already."
            yield Fault(tree.line((key, second)), f"the target {name} is here a second time", hint)


def _without_consequences(found: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drops errors that follow from another one: pydantic also reports a list with only wrong entries as empty."""
    locations = [details["loc"] for details in found]
    return [
        details
        for details, location in zip(found, locations, strict=True)
        if details["type"] != "too_short" or not any(other[: len(location)] == location != other for other in locations)
    ]


def _fault(details: ErrorDetails, tree: Tree, model: type[Manifest]) -> Fault:
    """Returns pydantic's error as a message for the author of the file."""
    path: Path = tuple(part for part in details["loc"] if isinstance(part, str | int))
    context: Mapping[str, Any] = details.get("ctx") or {}
    message, hint = _WORDS.get(details["type"], ("{where}: {msg}", str(context.get("hint", ""))))
    if details["type"] == "extra_forbidden":
        hint = _hint_for_key(path, model)
    elif details["type"] == "literal_error":
        hint = did_you_mean(str(details["input"]), re.findall(r"'([^']*)'", str(context.get("expected", ""))))
    words = {"where": _spelled(path), "input": str(details["input"])[:80], "msg": details["msg"]}
    return Fault(tree.line(path), message.format(**words), hint)


_WORDS = {
    "extra_forbidden": ("unknown key {where}", ""),
    "missing": ("the key {where} is missing", ""),
    "string_pattern_mismatch": (
        '{where}: "{input}" is not a name',
        "Allowed are letters, digits and . + _ - after a letter or digit.",
    ),
    "literal_error": ('{where}: unknown value "{input}"', ""),
    "tuple_type": ("{where} must be a list", "Write each entry on its own line behind a dash."),
    "model_type": ("{where} must hold keys and values", ""),
    "string_type": ("{where} must be text", ""),
    "too_short": ("{where} is empty", "Add at least one entry."),
}
"""Type of pydantic's error → message and hint."""


def _spelled(path: Path) -> str:
    """Returns a path as text: ("images", 0, "arch") → images[0].arch"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _hint_for_key(path: Path, model: type[Manifest]) -> str:
    if len(path) == 1 and path[0] in Manifest10.model_fields and model is Manifest01:
        return f"{path[0]} needs schema_version: 1.0."
    known: type[BaseModel] = model
    for part in path[:-1]:
        if isinstance(part, str):
            known = _model_in(known.model_fields[part].annotation) or known
    return did_you_mean(str(path[-1]), known.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Returns the model in an annotation such as `tuple[Model, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
